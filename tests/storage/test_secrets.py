"""Encryption at rest: bound to a row, by a ring of keys, and never shown by accident."""

import base64
import traceback
from dataclasses import replace

import pytest

from engine.port import Secret
from storage import accounts
from storage.secrets import BadKeyError, KeyRing, new_key
from storage.tables import AccountRow

WORD = "correct horse battery staple ß"
ROW, OTHER = "account/1/secret", "account/2/secret"


def test_sealed_secret_opens_for_its_row_only():
    ring = KeyRing([new_key()])

    sealed = ring.seal(Secret(WORD), ROW)

    assert ring.open(sealed, ROW).reveal() == WORD
    assert ring.open(sealed, OTHER) is None
    assert WORD.encode() not in sealed


def test_secret_opens_in_its_own_installation_only():
    """Two installations with the same keys could read each other's, row by row."""
    key = new_key()
    sealed = KeyRing([key], "production").seal(Secret(WORD), ROW)

    assert KeyRing([key], "production").open(sealed, ROW).reveal() == WORD
    assert KeyRing([key], "staging").open(sealed, ROW) is None


def give_a_password(row: AccountRow, keys: KeyRing) -> Secret:
    """Have a new one made for an account, and kept in its row."""
    before = accounts.load(row, keys)
    after = before.with_(password=replace(before.password, to_make=True))
    return accounts.store(row, before, after, keys).password.secret


def test_parts_of_an_identity_are_kept_apart():
    """Ids come from directories and files: one may look like the end of another's."""
    key = new_key()
    sealed = KeyRing([key], "a").seal(Secret(WORD), "b/c")
    row = AccountRow(id=7, person_id='x", "y', integration_id="pg", login="lk_x")
    password = give_a_password(row, keys := KeyRing([key]))
    other = AccountRow(id=7, person_id="y", integration_id='pg", "x', login="lk_x")
    other.secret = row.secret

    assert KeyRing([key], "a/b").open(sealed, "c") is None
    assert accounts.open_secret(row, keys) == password
    assert accounts.open_secret(other, keys) is None


@pytest.mark.parametrize(
    "other",
    [{"id": 8}, {"person_id": "diego"}, {"integration_id": "wiki"}],
    ids=["another row", "another person", "another system"],
)
def test_password_that_was_copied_does_not_open(other):
    """It named its row's number alone: with the row, it was given over to another person."""
    own = {"id": 7, "person_id": "marta", "integration_id": "pg", "login": "lk_x"}
    keys, row = KeyRing([new_key()]), AccountRow(**own)
    password = give_a_password(row, keys)

    assert accounts.open_secret(row, keys) == password
    assert accounts.open_secret(AccountRow(**own | other, secret=row.secret), keys) is None


def test_same_secret_is_never_sealed_the_same():
    ring = KeyRing([new_key()])

    assert len({ring.seal(Secret(WORD), ROW) for _ in range(100)}) == 100


def test_ring_opens_what_older_keys_sealed_and_seals_with_the_first():
    old, new = new_key(), new_key()
    sealed = KeyRing([old]).seal(Secret(WORD), ROW)

    ring = KeyRing([new, old])

    assert ring.open(sealed, ROW).reveal() == WORD
    assert KeyRing([new]).open(ring.seal(Secret(WORD), ROW), ROW).reveal() == WORD
    assert KeyRing([new]).open(sealed, ROW) is None


@pytest.mark.parametrize("cut", [0, 1, 4, 6, 12, 16, 30])
def test_what_was_cut_short_does_not_open(cut):
    """A few bytes too few ended in a ValueError, which stopped the account's turn."""
    ring = KeyRing([new_key()])

    assert ring.open(ring.seal(Secret(WORD), ROW)[:cut], ROW) is None


def test_changed_byte_does_not_open():
    ring = KeyRing([new_key()])
    sealed = ring.seal(Secret(WORD), ROW)

    for place in range(len(sealed)):
        changed = bytes(b ^ 1 if n == place else b for n, b in enumerate(sealed))
        assert ring.open(changed, ROW) is None


@pytest.mark.parametrize(
    "keys",
    [[], [""], ["short"], ["ä" * 44], [base64.urlsafe_b64encode(b"x" * 31).decode()]],
    ids=["none", "empty", "no base64", "no ASCII", "31 bytes"],
)
def test_bad_key_is_refused_with_what_to_do(keys):
    with pytest.raises(BadKeyError, match="32 bytes in base64; make one with `latchkey key`"):
        KeyRing(keys)


def test_secret_never_shows():
    secret = Secret(WORD)
    shown = "".join(traceback.format_exception(ValueError(secret)))

    assert WORD not in f"{secret} {secret!r} {[secret]} {shown}"


def test_work_in_hand_shows_no_password(stored):
    stored.submit()
    (work,) = stored.turn(*stored.due())

    assert work.login.password.reveal() not in repr(work)
