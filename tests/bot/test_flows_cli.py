"""`latchkey flows lint`: what is odd about the flows that are stored."""

from dataclasses import replace

import pytest

from engine.aql.parser import parse
from engine.aql.tokens import quoted
from engine.flow import ApprovalRule, ApproverGroup
from engine.inventory import IntegrationId, PermissionId, Policies, Principal
from engine.targets import Bundle, ByBundle, ByScope, Picked, Scope, Selector
from storage import sync
from tests.support.nursery import latchkey
from tests.support.stored import (
    ENGINEERS,
    PG,
    TABLES,
    Stored,
    is_in,
    reading,
    table,
    writing,
)


@pytest.fixture
def lint(tmp_path):
    """Return how to lint these flows, beside one that is sound."""

    def run(*flows, **env):
        url = f"sqlite:///{tmp_path}/latchkey.db"
        stored = Stored.founded(url)
        listed = [(flow, True) for flow in flows]
        stored.write(lambda tx, _: sync.flows(tx, listed, stored.now))
        stored.close()
        return latchkey("flows", "lint", cwd=tmp_path, LATCHKEY_DATABASE_URL=url, **env)

    return run


def test_where_nothing_is_odd_it_says_so_with_status_0(lint):
    done = lint(reading())

    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 open flow looked at. Nothing is odd about them.\n"


def test_what_is_odd_is_named_by_flow_with_status_1(lint):
    alone = ApprovalRule((ApproverGroup("Alice", is_in(ENGINEERS)),))
    nothing = Selector(IntegrationId("nowhere"))

    done = lint(reading(), writing(approval=alone, targets=(nothing,), escalation=None))

    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "Writing",
        "  - nothing to request: None of its targets selects anything that is there.",
        "2 open flows looked at. Something is odd about 1.",
    ]


def test_what_can_be_had_under_a_less_strict_flow_is_shown_by_an_example(lint):
    done = lint(reading(targets=(Selector(PG, names=frozenset({"orders"})),)), writing())

    assert (
        "  - less strict elsewhere: 3 people can have 2 entitlements of it under “Reading”, too, "
        "which is less strict. Such as read on shop.orders.\n"
    ) in done.stdout
    assert "  - stricter elsewhere: 3 people can have 2 entitlements of it under" in done.stdout


def test_progress_is_told_on_stderr(lint):
    said = lint(reading()).stderr.splitlines()

    assert said[0] == "reading what flows offer: 0 %"
    assert said[-1] == "comparing flows: 100 %"


def test_what_is_production_is_a_setting_and_a_query(lint, tmp_path):
    done = lint(reading(), LATCHKEY_PROD='resource_path starts_with "shop."')
    assert (
        "risky without approval: Without any approval it gives 2 entitlements in production. Such "
        "as read on shop.orders."
    ) in done.stdout

    wrong = latchkey("flows", "lint", cwd=tmp_path, LATCHKEY_PROD="resource_name = shop")
    assert wrong.returncode == 1
    assert "LATCHKEY_PROD" in wrong.stderr
    assert "Line 1, column 17" in wrong.stderr


def test_what_is_gone_is_offered_by_no_flow(tmp_path):
    url = f"sqlite:///{tmp_path}/latchkey.db"
    stored = Stored.founded(url)
    only = reading(targets=(Selector(PG, names=frozenset({"orders"})),))
    stored.write(lambda tx, _: sync.flows(tx, [(only, True)], stored.now))
    stored.write(lambda tx, _: sync.inventory(tx, PG, TABLES[1:], stored.now))
    stored.close()

    done = latchkey("flows", "lint", cwd=tmp_path, LATCHKEY_DATABASE_URL=url)

    assert "nothing to request" in done.stdout


def buckets(many):
    """Return buckets whose policies list them one by one."""
    return [
        replace(
            table(f"bucket{n:03}", "read", type_="bucket"),
            policies=Policies(
                "1111", Principal.ROLE, {PermissionId("read"): f'{{"Resource":"id:bucket{n:03}"}}'}
            ),
        )
        for n in range(many)
    ]


NAMED = Selector(PG, names=frozenset(f"bucket{n:03}" for n in range(120)))
IN_AQL = parse(f"resource_name in ({', '.join(quoted(n) for n in sorted(NAMED.names))})")


@pytest.mark.parametrize(
    ("target", "many", "said"),
    [
        (NAMED, 101, True),
        (NAMED, 100, False),
        (Picked(IN_AQL), 101, True),
        (ByBundle("Buckets"), 101, True),
        (Selector(PG, types=frozenset({"bucket"})), 101, False),
        (ByScope("Buckets"), 101, False),
    ],
    ids=["names", "a hundred", "a query", "a bundle of names", "any resource", "a scope"],
)
def test_over_a_hundred_that_are_named_one_by_one_are_warned_of(tmp_path, target, many, said):
    """The warning was written, tested, and shown to nobody."""
    url = f"sqlite:///{tmp_path}/latchkey.db"
    stored = Stored.founded(url)

    def change(tx, _):
        sync.inventory(tx, PG, [*TABLES, *buckets(many)], stored.now)
        sync.objects(tx, [Bundle("Buckets", (NAMED,)), Scope("Buckets", IN_AQL)], stored.now)
        sync.flows(tx, [(reading(targets=(target,)), True)], stored.now)

    stored.write(change)
    stored.close()

    for command in (["lint"], ["show", "reading"]):
        done = latchkey("flows", *command, cwd=tmp_path, LATCHKEY_DATABASE_URL=url)
        assert ("101 resources are named here" in done.stdout) is said, done
