"""All access flows of a company, indexed: what cannot apply to a question is not looked at.

The index only leaves out; `eligibility` decides on what is left.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import chain

from engine import eligibility
from engine.conditions import Comparator, Condition, ConditionGroup, Connective, exact
from engine.directory import Directory, Person
from engine.eligibility import Bar, Grantees, Inquiry, Verdict
from engine.flow import AccessFlow, FlowId
from engine.indexed import Index, Key, keys_of_entitlement, keys_of_query
from engine.inventory import Entitlement


class Policy:
    """Answers which flows are open to whom, the preferred first."""

    def __init__(self, flows: Iterable[AccessFlow], directory: Directory) -> None:
        self._directory = directory
        self._flows: list[AccessFlow] = []
        self._numbers: dict[FlowId, int] = {}
        self._by_requestor, self._by_target = Index(), Index()
        self._duties = _Duties(directory)
        self._take_in(flows)

    def changed(self, flows: Iterable[AccessFlow], directory: Directory) -> "Policy":
        """Return the policy among these people, with some flows other than they were."""
        made, some = Policy((), directory), list(flows)
        made._flows, made._numbers = self._flows, self._numbers
        made._by_requestor, made._by_target = self._by_requestor, self._by_target
        if some:
            made._flows, made._numbers = list(self._flows), dict(self._numbers)
            made._by_requestor, made._by_target = self._by_requestor.copy(), self._by_target.copy()
            made._take_in(some)
        return made

    def _take_in(self, flows: Iterable[AccessFlow]) -> None:
        for flow in flows:
            number = self._numbers.setdefault(flow.id, len(self._flows))
            if number < len(self._flows):
                before = self._flows[number].revision
                self._by_requestor.drop(number, _keys_of_group(before.requestors))
                self._by_target.drop(number, keys_of_query(before.offers))
                self._flows[number] = flow
            else:
                self._flows.append(flow)
            self._by_requestor.add(number, _keys_of_group(flow.revision.requestors))
            self._by_target.add(number, keys_of_query(flow.revision.offers))

    def grantees(self, requestor: Person, now: datetime) -> Grantees:
        """Return for whom this person may request something."""
        here = self._directory.at(now)
        numbers = self._by_requestor.find(self._keys_of(requestor, now))
        return eligibility.grantees(self._numbered(numbers), requestor, here)

    def usable(self, requestor: Person, grantee: Person, now: datetime) -> list[AccessFlow]:
        """Return the flows under which this person may request for that one."""
        here = self._directory.at(now)
        numbers = self._by_requestor.find(self._keys_of(requestor, now))
        return eligibility.usable(self._numbered(numbers), requestor, grantee, here)

    def offering(
        self, requestor: Person, grantee: Person, entitlement: Entitlement, now: datetime
    ) -> list[AccessFlow]:
        """Return those of the usable flows that offer the entitlement."""
        here = self._directory.at(now)
        numbers = self._offering(entitlement)
        numbers &= self._by_requestor.find(self._keys_of(requestor, now))
        found = eligibility.usable(self._numbered(numbers), requestor, grantee, here)
        return eligibility.offering(found, entitlement)

    def verdicts(self, asked: Inquiry) -> list[Verdict]:
        """Return what each flow says of the question, of those that offer what it asks for."""
        entitlement = asked.entitlement
        known = self._numbered(self._offering(entitlement)) if entitlement else self._flows
        found = eligibility.verdicts(known, asked)
        return [verdict for verdict in found if Bar.OFFER not in verdict.bars]

    def _offering(self, entitlement: Entitlement) -> int:
        return self._by_target.find(keys_of_entitlement(entitlement))

    def _keys_of(self, requestor: Person, now: datetime) -> Iterator[Key]:
        yield from _keys_of_person(requestor)
        yield from self._duties.of(requestor, now)

    def _numbered(self, numbers: int) -> Iterator[AccessFlow]:
        while numbers:
            lowest = numbers & -numbers
            yield self._flows[lowest.bit_length() - 1]
            numbers ^= lowest


class _Duties:
    """Who is on call, by schedule, looked at once a minute: no clock on a wall shows less."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._known: tuple[datetime | None, Mapping[str, Sequence[Key]]] = (None, {})

    def of(self, person: Person, now: datetime) -> Sequence[Key]:
        """Return the keys of somebody who is on call. Of sources that fail it knows too much."""
        if not self._directory.schedules:
            return ()
        minute, (looked_at, known) = now.replace(second=0, microsecond=0), self._known
        if looked_at != minute:
            found: dict[str, list[Key]] = {}
            for name, people in self._directory.at(minute).on_call.items():
                for one in people:
                    found.setdefault(one, []).append(("on_call", name.casefold()))
            self._known, known = (minute, found), found
        return known.get(person.id, ())


def _keys_of_group(group: ConditionGroup) -> Iterable[Key] | None:
    """Return keys of which whoever fulfils the group has one; None: they may have none."""
    each = [_keys_of_condition(condition) for condition in group.conditions]
    known = [keys for keys in each if keys is not None]
    if group.join is Connective.AND:
        return min(known, key=len, default=None)
    return chain.from_iterable(known) if len(known) == len(each) else None


def _keys_of_condition(condition: Condition) -> Collection[Key] | None:
    if condition.comparator is not Comparator.IS:
        return None
    same = exact(condition)
    return {(condition.attribute, v if same else v.casefold()) for v in condition.values}


def _keys_of_person(person: Person) -> Iterator[Key]:
    yield "user", person.id
    if person.manager:
        yield "manager", person.manager
    for group in person.groups:
        yield "group", group
    for attribute, values in person.attributes.items():
        for value in values:
            yield attribute, value.casefold()
