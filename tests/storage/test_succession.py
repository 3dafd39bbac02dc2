"""The same people under new directory ids: nothing is lost meanwhile, and all is carried over."""

from dataclasses import replace

import pytest
from sqlalchemy import delete, update
from sqlmodel import col

from engine.account import Done
from engine.commands import Approve, Cancel, Extend, Return
from engine.conditions import Comparator, Condition, ConditionGroup
from engine.directory import PersonId, PersonStatus, SlackAccount
from engine.flow import ApprovalRule, ApproverGroup, Quorum
from engine.outcome import Code, Decision
from engine.port import Secret
from engine.request import State
from engine.succession import Succession, SuccessionStatus, as_known, known_as
from storage import accounts, apply, facts, succession, sync
from storage.tables import (
    AskRow,
    AuditRow,
    ChangeRow,
    DecisionRow,
    MessageRow,
    PersonRow,
    RequestRow,
)
from tests.support.inside import counted
from tests.support.stored import (
    ADA,
    ALICE,
    BOB,
    DAN,
    DBAS,
    GROUPS,
    HOUR,
    PEOPLE,
    PG,
    SAM,
    SRES,
    WRITING,
    is_in,
    person,
    reading,
    writing,
)


def new(who) -> PersonId:
    return PersonId(f"e-{who}")


def moved(*who, **changes):
    """Return everybody as the new system of record lists them: these people by other ids."""
    ids = {p.id: new(p.id) for p in PEOPLE if p.id in who or not who}
    return [
        replace(p, id=ids.get(p.id, p.id), manager=ids.get(p.manager, p.manager), **changes)
        if p.id in ids
        else replace(p, manager=ids.get(p.manager, p.manager))
        for p in PEOPLE
    ]


def take_in(stored, listed) -> list[Succession]:
    def change(tx, _):
        found = succession.find(tx, listed)
        ids = known_as(found)
        sync.people(tx, as_known(listed, found), GROUPS, stored.now)
        sync.administrators(tx, [ids.get(new(ADA), ADA)], stored.now)
        return found

    return stored.write(change)


def carry(stored, found) -> None:
    """Carry people over, and let the clock loop have their requests follow."""
    carry_people(stored, found)
    stored.tick()


def carry_people(stored, found) -> None:
    stored.write(lambda tx, _: succession.carry(tx, found, stored.keys, stored.now))


def people(stored):
    return stored.company().directory.people


def row(stored, who) -> PersonRow:
    return next(r for r in stored.rows(PersonRow) if r.id == who)


@pytest.mark.parametrize("who", [(ALICE,), ()], ids=["one", "everybody"])
@pytest.mark.parametrize("left", [False, True], ids=["the old one is gone", "it is inactive"])
def test_until_carried_over_people_go_on_as_they_are_known(stored, who, left):
    """A migration of the directory revoked everybody's access, and nobody was known any more."""
    request = stored.submit()
    stored.converge()
    listed = moved(*who, name="Newly named")
    if left:
        listed += [
            replace(p, status=PersonStatus.INACTIVE) for p in PEOPLE if p.id in who or not who
        ]

    found = take_in(stored, listed)
    stored.tick()
    stored.converge()

    assert {s.old for s in found} == {p.id for p in PEOPLE if p.id in who or not who}
    assert all(s.waits for s in found)
    assert stored.again(request).state is State.ACTIVE
    assert set(people(stored)) == {p.id for p in PEOPLE}
    assert (people(stored)[ALICE].name, people(stored)[ALICE].slack) == ("Newly named", "U-alice")
    assert people(stored)[BOB].manager == "mia"


def test_all_that_is_theirs_is_carried_over(stored):
    running, waiting = stored.submit(), stored.submit("write on shop.orders", flow=WRITING)
    stored.converge()
    login, password = stored.account().login, stored.secret(stored.account())
    stored.send()
    found = take_in(stored, moved())

    carry(stored, found)

    alice = people(stored)[new(ALICE)]
    assert set(people(stored)) == {new(p.id) for p in PEOPLE}
    assert (alice.account, alice.manager) == (
        SlackAccount("T1", "U-alice", alice.email),
        new("mia"),
    )
    assert stored.company().admins == {new(ADA)}
    account = stored.account(PG, new(ALICE))
    assert (account.login, stored.secret(account)) == (login, password)
    for request in map(stored.again, (running, waiting)):
        assert (request.requestor, request.grantee) == (new(ALICE), new(ALICE))
    assert {a.person for a in stored.again(waiting).asks} == {new(DAN), new("dora")}
    assert {r.person_id for r in stored.rows(AskRow)} == {new(DAN), new("dora")}
    assert all(m.recipient.startswith("e-") for m in stored.rows(MessageRow))
    assert len(stored.rows(MessageRow)) == 4  # none was made anew
    with stored.database.read() as session:
        mine = facts.of_person(session, new(ALICE), live=True)
        asked = facts.waiting_for(session, new(DAN))
    assert [r.id for r in mine] == [waiting.id, running.id]
    assert [r.id for r in asked] == [waiting.id]
    assert stored.company().directory.get(ALICE) is alice
    assert "carried_over" in {r.action for r in stored.rows(AuditRow)}


def test_what_was_carried_over_goes_on_and_comes_to_its_end(stored):
    running, waiting = stored.submit(), stored.submit("write on shop.orders", flow=WRITING)
    stored.converge()
    carry(stored, take_in(stored, moved()))
    stored.tick()
    stored.converge()

    assert stored.again(running).state is State.ACTIVE
    assert isinstance(stored.do(running, Extend(new(ALICE), 1)), Decision)
    assert isinstance(stored.do(waiting, Approve(new(DAN))), Decision)
    stored.converge()
    assert stored.again(waiting).state is State.ACTIVE
    assert stored.systems[PG].logins() == [stored.account(PG, new(ALICE)).login]
    assert isinstance(stored.do(running, Return(new(ALICE))), Decision)
    stored.pass_(9 * HOUR)
    stored.tick()
    stored.converge()

    assert [stored.again(r).state for r in (running, waiting)] == [State.RETURNED, State.EXPIRED]
    assert not any(stored.systems[PG].held.values())


def test_a_request_is_the_same_as_before_under_the_new_id(stored):
    """Asked for a second time after the migration, it was two."""
    waiting = stored.submit(flow=WRITING)
    carry(stored, take_in(stored, moved()))

    draft = stored.draft(by=new(ALICE), flow=WRITING)
    with stored.database.read() as session:
        assert facts.same(session, apply.fingerprint(draft)) == waiting.id


def named(*who) -> ConditionGroup:
    return ConditionGroup((Condition("user", Comparator.IS, who),))


def test_a_flow_that_names_people_means_them_under_the_new_ids(stored):
    """A revision is not written anew: it names the ids of its day."""
    rules = writing(
        requestors=named(ALICE), approval=ApprovalRule((ApproverGroup("Dan", named(DAN)),))
    )
    stored.write(lambda tx, _: sync.flows(tx, [(reading(), True), (rules, True)], stored.now))
    waiting = stored.submit(flow=WRITING)
    carry(stored, take_in(stored, moved()))
    ids = {p.id: new(p.id) for p in PEOPLE}
    listed = [(reading(), True), (rules.renamed(ids), True)]
    stored.write(lambda tx, _: sync.flows(tx, listed, stored.now))

    assert stored.flow(WRITING).number == 2  # the same flow as before makes no revision
    assert isinstance(stored.do(waiting, Approve(new(DAN))), Decision)
    stored.converge()
    assert stored.again(waiting).state is State.ACTIVE


def test_after_the_carrying_over_the_same_people_change_nothing(stored):
    carry(stored, take_in(stored, moved()))
    take_in(stored, moved())
    epoch = stored.company().epoch

    assert take_in(stored, moved()) == []
    assert stored.company().epoch == epoch


def test_an_intake_that_was_compared_before_takes_no_new_id_away(stored):
    """It wrote what it had to say of the former id, which was somebody's again."""
    before = [replace(p, name=f"{p.name} Again") for p in PEOPLE]
    with stored.database.read() as session:
        compared = sync.compare(session, before, GROUPS)
    carry(stored, take_in(stored, moved(ALICE)))

    for step in compared.steps(stored.now):
        stored.write(lambda tx, _, step=step: step(tx))

    directory = stored.company().directory
    assert directory.get(ALICE).id == new(ALICE)
    assert directory.get(ALICE).active
    assert directory.get(BOB).name.endswith(" Again")


def test_the_migration_is_undone_as_it_was_done(stored):
    request = stored.submit()
    stored.converge()
    carry(stored, take_in(stored, moved()))

    found = take_in(stored, PEOPLE)
    assert {(s.old, s.new) for s in found} == {(new(p.id), p.id) for p in PEOPLE}
    carry(stored, found)
    stored.tick()
    stored.converge()

    assert people(stored)[ALICE].slack == "U-alice"
    assert stored.company().directory.get(new(ALICE)).id == ALICE
    assert stored.again(request).grantee == ALICE
    assert stored.again(request).state is State.ACTIVE


def test_who_comes_back_under_a_new_id_is_told_of_and_carried_over(stored):
    take_in(stored, [p for p in PEOPLE if p.id != BOB])
    back = [*(p for p in PEOPLE if p.id != BOB), replace(person("bob"), id=new(BOB))]

    (found,) = take_in(stored, back)
    assert (found.old, found.new, found.waits) == (BOB, new(BOB), False)
    assert people(stored)[new(BOB)].slack is None
    carry(stored, [found])

    assert people(stored)[new(BOB)].slack == "U-bob"
    assert people(stored)[new(BOB)].active


def test_who_has_taken_over_an_address_is_not_who_had_it(stored):
    """John left, and Jane has his address: she must not have his access with it."""
    request = stored.submit()
    stored.converge()
    listed = moved(ALICE, name="Jane")
    found = take_in(stored, listed)

    stored.write(lambda tx, _: succession.part(tx, found, stored.now))
    assert take_in(stored, listed) == []
    stored.tick()
    stored.converge()

    assert stored.again(request).state is State.REVOKED
    jane = people(stored)[new(ALICE)]
    assert (jane.name, jane.slack, jane.active) == ("Jane", None, True)
    assert stored.company().directory.by_email("alice@example.com") == (jane,)


def test_two_of_one_address_are_nobody(stored):
    others = [p for p in PEOPLE if p.id != ALICE]
    twins = [replace(person("alice"), id=PersonId(f"e-{n}")) for n in range(2)]

    assert stored.write(lambda tx, _: succession.find(tx, [*others, *twins])) == []


def test_each_keeps_its_own_login_where_both_ids_have_one(stored):
    """Two logins of one person in one system cannot be one: each goes on to its end."""
    stored.submit(by=BOB)
    stored.converge()
    take_in(stored, [p for p in PEOPLE if p.id != BOB])
    back = [*(p for p in PEOPLE if p.id != BOB), replace(PEOPLE[3], id=new(BOB))]
    (found,) = take_in(stored, back)
    stored.submit("read on shop.customers", by=new(BOB))
    stored.converge()
    both = {stored.account(PG, who).login for who in (BOB, new(BOB))}

    carry(stored, [found])
    stored.tick()
    stored.converge()

    assert len(both) == 2
    assert {stored.account(PG, who).login for who in (BOB, new(BOB))} == both
    stored.pass_(5 * HOUR)
    stored.tick()
    stored.converge()
    assert not any(stored.systems[PG].held.values())


# --- before their requests have followed ----------------------------------------------------------


def test_what_is_theirs_is_found_before_it_has_followed(stored):
    running, waiting = stored.submit(), stored.submit("write on shop.orders", flow=WRITING)
    stored.converge()
    carry_people(stored, take_in(stored, moved()))

    directory = stored.company().directory
    with stored.database.read() as session:
        mine = facts.of_person(session, *ids_of(directory, ALICE), live=True)
        asked = facts.waiting_for(session, *ids_of(directory, DAN))
        open_ = facts.open_by(session, *ids_of(directory, ALICE))
    assert [r.id for r in mine] == [waiting.id, running.id]
    assert [r.id for r in asked] == open_ == [waiting.id]
    assert {r.grantee for r in mine} == {ALICE}


def ids_of(directory, who):
    return new(who), directory.had(new(who))


def test_nobody_decides_their_own_before_it_has_followed(stored):
    """The request names the former id, and who approves has the new one: they are one person."""
    stored.take_in([replace(p, groups=p.groups | {DBAS}) if p.id == ALICE else p for p in PEOPLE])
    waiting = stored.submit("write on shop.orders", flow=WRITING)
    listed = [replace(p, groups=p.groups | {DBAS}) if p.id == new(ALICE) else p for p in moved()]
    carry_people(stored, take_in(stored, listed))

    refusal = stored.approve(waiting, new(ALICE))

    assert refusal.code is Code.OWN_REQUEST
    assert isinstance(stored.do(waiting, Cancel(new(ALICE))), Decision)
    assert stored.again(waiting).grantee == new(ALICE)


def cards(stored, request):
    return sorted(
        (m.recipient, m.kind) for m in stored.rows(MessageRow) if m.request_id == request.id
    )


def test_who_decides_before_it_has_followed_has_it_follow(stored):
    """A decision would have sent everybody a second card, and left the first as it was."""
    waiting = stored.submit("write on shop.orders", flow=WRITING)
    stored.send()
    before = cards(stored, waiting)
    carry_people(stored, take_in(stored, moved()))

    assert isinstance(stored.approve(waiting, new(DAN)), Decision)

    again = stored.again(waiting)
    assert (again.requestor, again.grantee, again.decided.by) == (new(ALICE), new(ALICE), new(DAN))
    assert cards(stored, waiting) == [(new(who), kind) for who, kind in before]
    asks = {(r.person_id, r.seat) for r in stored.rows(AskRow)}
    assert asks == {(a.person, a.seat.key) for a in again.asks}
    assert {r.person_id for r in stored.rows(DecisionRow)} == {new(DAN)}
    assert [r.grantee_id for r in stored.rows(RequestRow)] == [new(ALICE)]


def test_an_approval_that_was_given_before_counts_once(stored):
    both = ApprovalRule(
        (ApproverGroup("DBAs", is_in(DBAS)), ApproverGroup("SREs", is_in(SRES))), Quorum.ALL_OF
    )
    rules = writing(approval=both, escalation=None)
    stored.write(lambda tx, _: sync.flows(tx, [(reading(), True), (rules, True)], stored.now))
    waiting = stored.submit("write on shop.orders", flow=WRITING)
    stored.approve(waiting, DAN)
    carry(stored, take_in(stored, moved()))

    assert {r.person_id for r in stored.rows(DecisionRow)} == {new(DAN)}
    assert stored.approve(waiting, new(DAN)).code is Code.ALREADY_APPROVED
    assert isinstance(stored.approve(waiting, new(SAM)), Decision)
    stored.converge()
    assert stored.again(waiting).state is State.ACTIVE


def test_who_leaves_before_it_has_followed_loses_it(stored):
    """Who has left is known by the new id alone; what is theirs may still name the former."""
    running = stored.submit()
    stored.converge()
    listed = moved()
    carry_people(stored, take_in(stored, listed))
    with stored.database.write() as tx:
        tx.execute(delete(ChangeRow))

    take_in(stored, [p for p in listed if p.id != new(ALICE)])
    stored.tick()
    stored.converge()

    assert stored.again(running).state is State.REVOKED


def test_what_cannot_be_read_keeps_its_names_and_comes_to_its_end(stored):
    running = stored.submit()
    stored.converge()
    with stored.database.write() as tx:
        tx.execute(update(RequestRow).values(body=[]))
    carry(stored, take_in(stored, moved()))

    stored.pass_(5 * HOUR)
    stored.touch_everything()
    stored.tick()
    stored.converge()

    assert stored.again(running).state.final
    assert not any(stored.systems[PG].held.values())


# --- an id never passes to another person ---------------------------------------------------------

M1 = PersonId("m-1")
OVERLAPS = {
    "a chain": {ALICE: M1, BOB: ALICE},
    "a swap": {ALICE: BOB, BOB: ALICE},
    "a ring": {ALICE: BOB, BOB: DAN, DAN: ALICE},
    "over somebody who has left": {ALICE: BOB},
}


def listed_as(ids, *, without=()):
    return [
        replace(p, id=ids.get(p.id, p.id), manager=ids.get(p.manager, p.manager))
        for p in PEOPLE
        if p.id not in without
    ]


@pytest.mark.parametrize("ids", OVERLAPS.values(), ids=OVERLAPS)
def test_ids_that_overlap_hand_nothing_to_another(stored, ids):
    """Marta got the id m-1 and Ravi hers: her access, requests and password became his."""
    left = () if BOB in ids else (BOB,)
    requests = {who: stored.submit(by=who) for who in (ALICE, BOB) if who not in left}
    stored.converge()
    secrets = {who: stored.secret(stored.account(PG, who)) for who in requests}
    before = people(stored)

    for _ in range(3):
        found = take_in(stored, listed_as(ids, without=left))
        carry(stored, found)
        stored.tick()
        stored.converge()

    now = stored.company().directory
    for who, request in requests.items():
        again = stored.again(request)
        assert again.state is State.ACTIVE
        assert now.get(again.grantee).email == before[who].email
        assert now.get(again.grantee).slack == before[who].slack
        account = stored.account(PG, again.grantee)
        assert stored.secret(account) == secrets[who]
        assert now.get(who).name == before[who].name  # of what is over, and in the audit
    assert {s.status for s in found} == {SuccessionStatus.KEPT}


def test_who_is_new_under_somebodys_former_id_is_somebody_else(stored):
    """A newcomer who got a carried-over person's old id was shown as who had done what they did."""
    running = stored.submit()
    stored.converge()
    stored.send()
    nina = replace(PEOPLE[2], name="Nina", email="nina@example.com")
    listed = [*listed_as({ALICE: M1}), nina]

    for _ in range(3):
        carry(stored, take_in(stored, listed))
        stored.tick()
        stored.converge()

    directory = stored.company().directory
    (newcomer,) = directory.by_email("nina@example.com")
    assert (newcomer.id, newcomer.slack) == ("alice~2", None)
    assert directory.get(ALICE).name == "Alice"
    assert stored.again(running).grantee == M1
    assert directory.get(M1).slack == "U-alice"
    moved = [replace(p, email="n@example.com") if p.name == "Nina" else p for p in listed]
    take_in(stored, moved)
    assert stored.company().directory.people["alice~2"].email == "n@example.com"


def test_where_nobody_can_tell_who_is_who_nothing_changes(stored):
    """Is it the address, or the id, that a newcomer was given? Each would hand access over."""
    request = stored.submit()
    stored.converge()
    married = replace(PEOPLE[2], name="Alice B.", email="b@example.com")
    newcomer = replace(PEOPLE[2], id=PersonId("n-1"), name="Alicia")
    listed = [*(p for p in PEOPLE if p.id != ALICE), married, newcomer]

    (found,) = take_in(stored, listed)
    carry(stored, [found])
    stored.tick()
    stored.converge()

    assert (found.old, found.new, found.status) == (ALICE, "n-1", SuccessionStatus.HELD)
    alice = people(stored)[ALICE]
    assert (alice.name, alice.email, alice.slack) == ("Alice", "alice@example.com", "U-alice")
    assert "n-1" not in people(stored)
    assert stored.again(request).state is State.ACTIVE

    stored.write(lambda tx, _: succession.part(tx, [found], stored.now))
    take_in(stored, listed)
    stored.tick()
    stored.converge()
    assert stored.again(request).state is State.REVOKED
    assert people(stored)["n-1"].slack is None
    assert people(stored)["alice~2"].email == "b@example.com"


def test_two_people_whose_addresses_were_swapped_stay_as_they_are(stored):
    swapped = [
        replace(p, email=f"{BOB if p.id == ALICE else ALICE}@example.com")
        if p.id in {ALICE, BOB}
        else p
        for p in PEOPLE
    ]

    found = take_in(stored, swapped)

    assert {s.status for s in found} == {SuccessionStatus.HELD}
    assert people(stored)[ALICE].email == "alice@example.com"
    assert people(stored)[BOB].slack == "U-bob"


def test_an_old_id_that_is_listed_as_inactive_says_nothing_new(stored):
    """Carried over, and listed once more as one who has left, they were somebody of their own."""
    listed = [*moved(), *(replace(p, status=PersonStatus.INACTIVE) for p in PEOPLE)]
    carry(stored, take_in(stored, listed))

    assert take_in(stored, listed) == []
    assert stored.company().directory.get(ALICE).id == new(ALICE)


def nina_has_the_id(stored, *, after_leaving):
    """List somebody else under Alice's id, and Alice no more."""
    if after_leaving:
        take_in(stored, [p for p in PEOPLE if p.id != ALICE])
        stored.tick()
        stored.converge()
    nina = replace(PEOPLE[2], name="Nina", email="nina@example.com")
    listed = [nina if p.id == ALICE else p for p in PEOPLE]
    take_in(stored, listed)
    return listed


@pytest.mark.parametrize("after_leaving", [True, False])
def test_nothing_reaches_who_has_somebodys_id_next(stored, after_leaving):
    """The password that Alice had saved opened Nina's access, and Alice's requests were hers."""
    running = stored.submit()
    stored.converge()
    login = stored.account().login
    listed = nina_has_the_id(stored, after_leaving=after_leaving)
    assert people(stored)[ALICE].slack is None
    assert sync_alarms(stored)

    assert stored.write(lambda tx, _: succession.make_way(tx, ALICE, stored.now))
    take_in(stored, listed)
    stored.tick()
    stored.converge()

    assert stored.again(running).state is State.REVOKED
    directory = stored.company().directory
    (nina,) = directory.by_email("nina@example.com")
    assert (nina.active, nina.slack, nina.suspended) == (True, None, None)
    assert (directory.get(ALICE).name, directory.get(ALICE).active) == ("Alice", False)
    with stored.database.read() as session:
        assert facts.of_person(session, nina.id, live=False) == []
    stored.submit(by=nina.id)
    stored.converge()
    assert stored.account(PG, nina.id).login != login


def sync_alarms(stored) -> list[str]:
    return [m.detail for m in stored.rows(MessageRow) if m.kind == "alarm"]


@pytest.mark.parametrize("tied", [True, False])
def test_until_an_admin_has_said_who_it_is_no_access_begins(stored, tied):
    """Approved meanwhile, access began, with the password that the former owner had saved."""
    stored.submit()
    stored.converge()
    waiting = stored.submit("write on shop.orders", flow=WRITING)
    if not tied:
        untie(stored, ALICE)
    nina_has_the_id(stored, after_leaving=False)
    (said,) = sync_alarms(stored)
    for words in (
        "Alice: the address in the directory has changed",
        "alice@example.com",
        "as Nina with nina@example.com",
        "latchkey people confirm nina@example.com",
        "latchkey people part nina@example.com",
    ):
        assert words in said

    stored.approve(waiting)
    stored.converge()
    assert stored.again(waiting).state is State.GRANTING
    newcomer = {PersonId(ALICE): SlackAccount("T1", "U-nina", "nina@example.com")}
    assert stored.write(lambda tx, _: sync.tie(tx, newcomer, stored.now)) == 0

    stored.write(lambda tx, _: sync.confirm(tx, ALICE, ADA, stored.now))
    stored.converge()
    assert stored.again(waiting).state is State.ACTIVE
    assert not stored.write(lambda tx, _: succession.make_way(tx, ALICE, stored.now))


def untie(stored, who) -> None:
    stored.write(
        lambda tx, _: tx.execute(
            update(PersonRow).where(col(PersonRow.id) == who).values(slack=None, account=None)
        )
    )


def test_an_address_of_somebody_who_has_left_is_whose_it_is_now(stored):
    """Two people who were known beside each other were offered as one, to be carried over."""
    take_in(stored, [p for p in PEOPLE if p.id != BOB])
    listed = [
        replace(p, email="bob@example.com") if p.id == ALICE else p for p in PEOPLE if p.id != BOB
    ]

    assert take_in(stored, listed) == []
    assert take_in(stored, listed) == []


def test_the_proof_of_a_password_is_carried_over_too(stored):
    """Everybody's saved password stopped working after a migration."""
    stored.submit()
    (work,) = stored.turn(*stored.due())
    report = replace(stored.call(work).result, proof=Secret("SCRAM-SHA-256$4096"))
    stored.turn(done=[Done(work, report)])

    carry(stored, take_in(stored, moved()))

    proof = accounts.open_proof(stored.account(PG, new(ALICE)), stored.keys)
    assert proof.reveal() == "SCRAM-SHA-256$4096"


def test_people_are_carried_over_some_at_a_time(stored):
    """All of a large company in one transaction would have stopped everybody else meanwhile."""
    crowd = [person(f"p{n}") for n in range(succession.AT_ONCE)]
    take_in(stored, [*PEOPLE, *crowd])
    listed = [*PEOPLE, *(replace(p, id=new(p.id)) for p in crowd)]
    found = take_in(stored, listed)

    with counted(stored.database) as cost:
        carry(stored, found)

    assert len(found) == succession.AT_ONCE
    assert cost.transactions == 1
    assert cost.statements < 100
