"""Jobs: what runs by time and is no request."""

from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col

from storage import jobs
from storage.jobs import JobKind
from storage.tables import JobRow
from tests.support.stored import HOUR, MINUTE


def schedule(stored, *subjects, after=timedelta()) -> None:
    for subject in subjects:
        stored.write(
            lambda tx, _, s=subject: jobs.schedule(tx, JobKind.DISCOVER, s, stored.now + after)
        )


def claim(stored):
    ids = jobs.due(stored.database, stored.now, 10)
    return stored.write(lambda tx, _: jobs.claim(tx, stored.instance, ids, stored.now))


def test_job_runs_at_its_time(stored):
    schedule(stored, "pg", after=MINUTE)
    assert claim(stored) == []

    stored.pass_(MINUTE)
    (job,) = claim(stored)

    assert (job.kind, job.subject, job.attempts) == (JobKind.DISCOVER, "pg", 0)
    assert claim(stored) == []


def test_what_is_planned_was_never_tried(stored):
    def plan(tx, _):
        jobs.schedule_each(tx, JobKind.DISCOVER, ["pg", "wiki"], stored.now)
        jobs.reschedule(tx, JobKind.ANCHOR, "", stored.now)

    stored.write(plan)

    assert [job.attempts for job in claim(stored)] == [0, 0, 0]


def test_planned_job_keeps_its_time_unless_it_is_planned_anew(stored):
    schedule(stored, "pg", after=MINUTE)
    schedule(stored, "pg")
    assert claim(stored) == []

    stored.write(lambda tx, _: jobs.reschedule(tx, JobKind.DISCOVER, "pg", stored.now))

    assert [job.subject for job in claim(stored)] == ["pg"]


def test_finished_job_runs_again_or_never(stored):
    schedule(stored, "once", "again")
    for job in claim(stored):
        next_ = stored.now + MINUTE if job.subject == "again" else None
        stored.write(lambda tx, _, j=job, n=next_: jobs.done(tx, stored.instance, j, n))

    assert claim(stored) == []
    stored.pass_(MINUTE)
    assert [job.subject for job in claim(stored)] == ["again"]
    assert [r.subject for r in stored.rows(JobRow)] == ["again"]


def test_a_job_that_is_planned_anew_while_it_runs_runs_again(stored):
    """What it was planned anew for, it had not seen: that waited for the next time of all."""
    schedule(stored, "pg")
    (job,) = claim(stored)
    stored.pass_(MINUTE)
    stored.write(lambda tx, _: jobs.reschedule(tx, JobKind.DISCOVER, "pg", stored.now))
    assert claim(stored) == []

    stored.write(lambda tx, _: jobs.done(tx, stored.instance, job, stored.now + HOUR))

    (again,) = claim(stored)
    stored.write(lambda tx, _: jobs.done(tx, stored.instance, again, None))
    assert claim(stored) == stored.rows(JobRow) == []


def test_failed_job_is_tried_with_growing_pauses(stored):
    schedule(stored, "pg")
    pauses = []
    for _ in range(11):
        (job,) = claim(stored)
        stored.write(lambda tx, _, j=job: jobs.failed(tx, stored.instance, j, stored.now))
        (row,) = stored.rows(JobRow)
        pauses.append((row.due_at - stored.now).total_seconds())
        stored.now = row.due_at

    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


@pytest.mark.parametrize("how", ["it ran", "it is planned anew"])
def test_a_job_that_ran_or_is_planned_anew_begins_with_a_short_pause(stored, how):
    """Its tries were never counted anew: after one bad hour each fault cost five minutes."""
    schedule(stored, "pg")
    for _ in range(6):
        (job,) = claim(stored)
        stored.write(lambda tx, _, j=job: jobs.failed(tx, stored.instance, j, stored.now))
        stored.pass_(HOUR)
    if how == "it ran":
        (job,) = claim(stored)
        stored.write(lambda tx, _: jobs.done(tx, stored.instance, job, stored.now))
    else:
        stored.write(lambda tx, _: jobs.reschedule(tx, JobKind.DISCOVER, "pg", stored.now))

    (again,) = claim(stored)
    stored.write(lambda tx, _: jobs.failed(tx, stored.instance, again, stored.now))

    (row,) = stored.rows(JobRow)
    assert row.due_at - stored.now == timedelta(seconds=1)


def test_what_is_much_further_ahead_than_its_longest_pause_is_due(stored):
    """It was planned by a clock that has been set back, and stood still for as long."""
    longest = {JobKind.DISCOVER: HOUR}
    schedule(stored, "next", after=HOUR + MINUTE)
    schedule(stored, "ahead", after=25 * HOUR)
    schedule(stored, "other")
    stored.write(lambda tx, _: jobs.schedule(tx, JobKind.ANCHOR, "", stored.now + 25 * HOUR))

    ids = jobs.due(stored.database, stored.now, 10, longest=longest)
    claimed = stored.write(
        lambda tx, _: jobs.claim(tx, stored.instance, ids, stored.now, longest=longest)
    )

    assert sorted(job.subject for job in claimed) == ["ahead", "other"]


@pytest.mark.parametrize("finish", [jobs.done, jobs.failed])
def test_who_lost_the_lease_changes_nothing(stored, other, finish):
    schedule(stored, "pg")
    (job,) = claim(stored)
    with stored.database.write() as tx:
        tx.execute(update(JobRow).values(lease=other.instance))

    stored.write(lambda tx, _: finish(tx, stored.instance, job, stored.now + MINUTE))

    (row,) = stored.rows(JobRow)
    assert (row.lease, row.attempts, row.due_at) == (other.instance, 0, stored.now)


def test_job_of_a_kind_not_known_yet_stops_nobody(stored):
    """During an upgrade a newer process may plan what this one cannot run."""
    schedule(stored, "new", "pg")
    with stored.database.write() as tx:
        tx.execute(update(JobRow).where(col(JobRow.subject) == "new").values(kind="rotate"))

    assert [job.subject for job in claim(stored)] == ["pg"]


def test_a_job_that_names_no_account_stops_no_other(stored):
    """On PostgreSQL no job at all was found any more: its subject was taken for a number."""
    schedule(stored, "pg", "no number", "")
    with stored.database.write() as tx:
        tx.execute(
            update(JobRow)
            .where(col(JobRow.subject) != "pg")
            .values(kind=JobKind.RECONCILE_ACCOUNT.value)
        )

    found = jobs.due(stored.database, stored.now, 10)

    assert len(found) == 3
    assert "system/pg" in found.values()


def test_of_three_processes_one_runs_a_job(crew, stored, url):
    subjects = [f"s{n}" for n in range(20)]
    schedule(stored, *subjects)

    claimed = crew.race("run_jobs", url)

    assert sorted(s for mine in claimed for s in mine) == sorted(subjects)
