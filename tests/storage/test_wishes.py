"""What people want is kept: once a person and thing, for a while, so many; told once."""

from dataclasses import replace
from datetime import timedelta

from engine.inventory import ResourceId
from engine.wishes import KEPT, Wish
from storage import wishes
from storage.tables import AuditRow, WishRow
from tests.support.stored import ALICE, BOB, START

ONE = Wish(ALICE, "pay", "ledger/payments", "INC-42", START, ResourceId(7))
HOUR = timedelta(hours=1)


def keep(stored, *these: Wish) -> None:
    for wish in these:
        stored.write(lambda tx, _, w=wish: wishes.keep(tx, w))


def listed(stored, now=START + HOUR) -> list[Wish]:
    with stored.database.read() as session:
        return wishes.listed(session, now)


def test_a_wish_is_kept_as_it_was_and_once(stored):
    later = replace(ONE, words="payments", reason="INC-43", at=START + HOUR)
    of_words = replace(ONE, resource=None, called="what I mean")

    keep(stored, ONE)
    assert listed(stored) == [ONE]
    keep(stored, later, of_words, replace(ONE, person=BOB))

    assert listed(stored) == [replace(ONE, person=BOB), of_words, later]
    with stored.database.read() as session:
        assert wishes.of_person(session, BOB, [], START) == [replace(ONE, person=BOB)]
        both = wishes.of_person(session, ALICE, [BOB], START)
    assert len(both) == 3


def test_what_is_told_is_told_once_together_with_what_was(stored):
    keep(stored, ONE)

    assert stored.write(lambda tx, _: wishes.tell(tx, START)) == [ONE]
    assert stored.write(lambda tx, _: wishes.tell(tx, START)) == []
    keep(stored, replace(ONE, reason="again"))  # which is no reason to tell it again
    assert stored.write(lambda tx, _: wishes.tell(tx, START)) == []
    keep(stored, replace(ONE, person=BOB))
    told = stored.write(lambda tx, _: wishes.tell(tx, START))
    assert {(wish.person, wish.told) for wish in told} == {(ALICE, True), (BOB, False)}


def test_what_is_old_is_listed_no_more_and_forgotten(stored):
    keep(stored, ONE, replace(ONE, person=BOB, at=START + HOUR))

    assert [w.person for w in listed(stored, START + KEPT)] == [BOB]
    stored.write(lambda tx, _: wishes.forget(tx, START + KEPT))
    assert [row.person_id for row in stored.rows(WishRow)] == [BOB]


def test_of_too_many_the_newest_are_kept(stored, monkeypatch):
    monkeypatch.setattr(wishes, "MOST", 2)
    keep(stored, *(replace(ONE, resource=ResourceId(n)) for n in range(5)))

    stored.write(lambda tx, _: wishes.forget(tx, START))

    assert [row.resource_id for row in stored.rows(WishRow)] == [3, 4]


def test_a_wish_is_audited(stored):
    keep(stored, ONE)

    (entry,) = [row for row in stored.rows(AuditRow) if row.action == "wished"]
    assert entry.actor == ALICE
    assert "INC-42" not in str(entry.body)
