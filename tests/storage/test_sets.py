"""Which sets of manifests were applied, and which of them last."""

from datetime import timedelta

from storage import sets
from storage.sets import SetAge


def standing(stored, digest):
    with stored.database.read() as session:
        return sets.age(session, digest)


def apply(stored, digest, at):
    stored.write(lambda tx, _: sets.applied(tx, digest, at))


def test_the_set_that_was_applied_last_is_the_newest(stored):
    assert standing(stored, "one") is SetAge.NEW

    apply(stored, "one", stored.now)
    apply(stored, "two", stored.now)
    assert [standing(stored, d) for d in ("one", "two")] == [SetAge.OLDER, SetAge.NEWEST]

    apply(stored, "one", stored.now - timedelta(days=1))  # the clock was set back
    assert [standing(stored, d) for d in ("one", "two")] == [SetAge.NEWEST, SetAge.OLDER]
