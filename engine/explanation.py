"""Why somebody can request something, or cannot, as a colleague would say it.

What is so, `eligibility.bars` says; this only finds the words: flow by flow, and condition by
condition. Whether it may be said to whoever reads it is asked before (`eligibility.may_know`).
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from engine.conditions import (
    Comparator,
    Condition,
    ConditionGroup,
    Connective,
    exact,
    is_sound,
    matches,
)
from engine.directory import Directory, GroupId, Person, PersonId
from engine.duration import in_words
from engine.eligibility import MAX_BUNDLED, Bar, Inquiry, Verdict, for_whom
from engine.flow import AccessFlow, ApprovalRule, RequestFor, Revision
from engine.inventory import Entitlement
from engine.window import opening_in_words

__all__ = [
    "Explanation",
    "Tested",
    "Told",
    "each_condition",
    "explain",
    "joined",
    "on_behalf",
    "people_of",
]

MOST_NAMED = 5  # values, groups, people, in one sentence
MOST_TOLD = 10  # flows, of one entitlement


@dataclass(frozen=True, slots=True)
class Tested:
    """A condition and a person: what it wants of them, what they are, whether it holds."""

    wanted: str
    has: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What one flow says, in words. `conditions`: of those on whoever asks, each."""

    flow: AccessFlow
    may: bool
    sentence: str
    conditions: tuple[Tested, ...]


@dataclass(frozen=True, slots=True)
class Explanation:
    """Whether somebody can have something: now, or at some time.

    `told` is what bears on it, the first ten and how many `more`: of those who can, the flows under
    which they can; else all that offer it. `why` is the reason where no flow has one.
    """

    may: bool
    said: str
    told: tuple[Told, ...]
    why: str = ""
    more: int = 0

    @property
    def lines(self) -> tuple[str, ...]:
        """A sentence; where several flows bear on it, one with a line for each."""
        reasons = [self.why] if self.why else [each.sentence for each in self.told]
        if len(reasons) == 1:
            return (f"{self.said}: {reasons[0]}.",)
        if self.more:
            reasons.append(f"likewise {self.more} more access flows")
        return (f"{self.said}:", *(f"{reason}." for reason in reasons))


def explain(asked: Inquiry, verdicts: Sequence[Verdict], *, you: bool) -> Explanation:
    """Explain what the flows say that offer something, the preferred first.

    `you`: whoever asks reads it; else it is said of them by name.
    """
    words, may = _Words(asked, you), any(verdict.sometime for verdict in verdicts)
    bearing = [verdict for verdict in verdicts if verdict.sometime is may]
    told = tuple(
        Told(v.flow, may, words.of(v), words.conditions(v.flow.revision))
        for v in bearing[:MOST_TOLD]
    )
    themselves = asked.requestor.id == asked.grantee.id
    verb, whom = ("have", "") if themselves else ("request", f" for {asked.grantee.name}")
    who = "You" if you else asked.requestor.name
    said = f"{who} {'can' if may else 'cannot'} {verb} {_thing(asked)}{whom}"
    if themselves and not may:
        behalf = for_whom((v.flow for v in verdicts), asked.requestor, asked.directory)
        others = on_behalf(behalf, "your" if you else "their")
        said += f", but can request it for {others}" if others else ""
    why = "" if told else _no_flow(asked.entitlement, you=you)
    return Explanation(may, said, told, why, max(0, len(bearing) - MOST_TOLD))


def _thing(asked: Inquiry) -> str:
    if asked.bundle:
        return f"the bundle “{asked.bundle.name}”"
    if asked.entitlement is None:
        raise ValueError("an explanation is of something that can be had")
    return str(asked.entitlement)


def _no_flow(entitlement: Entitlement | None, *, you: bool) -> str:
    if entitlement and not entitlement.available:
        return "it is no longer there, or no longer offered"
    return f"no access flow{' that you may know of' if you else ''} offers it"


def on_behalf(whom: Collection[RequestFor], whose: str = "your") -> str:
    """Say for whom else it can be requested: “your reports and others”; empty: for nobody."""
    named = {RequestFor.DIRECT_REPORTS: f"{whose} reports", RequestFor.OTHERS: "others"}
    return joined((words for each, words in named.items() if each in whom), last="and")


def people_of(group: ConditionGroup, directory: Directory) -> str:
    """Say whom conditions select: “Engineering and Data”, “people whose city is Porto”."""
    match group.conditions:
        case ():
            return "nobody"
        case (Condition("group", Comparator.IS, _) as only,):
            return joined(_values(only, directory), last="and")
    clauses = [_clause(condition, directory) for condition in group.conditions]
    return f"people {_and(clauses) if group.join is Connective.AND else ', or '.join(clauses)}"


def each_condition(
    group: ConditionGroup, person: Person, directory: Directory, *, you: bool
) -> tuple[Tested, ...]:
    """Say of each condition what it wants, and what the person is."""
    return tuple(
        Tested(
            _clause(condition, directory),
            _has(condition, person, directory, you=you),
            matches(ConditionGroup((condition,)), person, directory),
        )
        for condition in group.conditions
    )


def joined(words: Iterable[str], *, last: str = "or") -> str:
    """Join as people do: `a, b or c`; of too many the rest is counted."""
    known = list(words)
    shown = known[:MOST_NAMED]
    if more := len(known) - len(shown):
        shown.append(f"{more} more")
    return f" {last} ".join(filter(None, (", ".join(shown[:-1]), shown[-1]))) if shown else ""


def _and(clauses: Sequence[str]) -> str:
    return ", and ".join(clauses)


@dataclass(frozen=True, slots=True)
class _Words:
    asked: Inquiry
    you: bool

    def of(self, verdict: Verdict) -> str:
        name = f"“{verdict.flow.name}”"
        if not verdict.bars:
            return self._given(verdict.flow)
        if verdict.sometime:
            return f"{self._opening(verdict.flow)}, {self._given(verdict.flow)}"
        said = [self._bar(bar, verdict.flow) for bar in verdict.bars]
        return f"{name} {'; and it '.join(said)}"

    def conditions(self, revision: Revision) -> tuple[Tested, ...]:
        asked = self.asked
        return each_condition(revision.requestors, asked.requestor, asked.directory, you=self.you)

    def _given(self, flow: AccessFlow) -> str:
        revision = flow.revision
        longest = f"at most {in_words(revision.grant_for)}" if revision.grant_for else "without end"
        return f"{_decided(revision.approval)}, under “{flow.name}”, {longest}"

    def _bar(self, bar: Bar, flow: AccessFlow) -> str:
        asked, revision = self.asked, flow.revision
        match bar:
            case Bar.CLOSED:
                return "is switched off"
            case Bar.STATUS:
                return "is for active members of the company, and for no guests"
            case Bar.REQUESTORS:
                for_whom = people_of(revision.requestors, asked.directory)
                return f"is for {for_whom}; {self._fails(revision.requestors, asked.requestor)}"
            case Bar.LEFT:
                return f"is for nobody who has left, as {asked.grantee.name} has"
            case Bar.GRANTEE:
                return self._not_for(revision)
            case Bar.OFFER:
                return "does not offer it"
            case Bar.EMPTY:
                return "offers nothing that is in it just now"
            case Bar.TOO_MANY:
                size = asked.bundle.sizes[flow.id] if asked.bundle else 0
                return f"offers {size:,} entitlements of it, and a request has {MAX_BUNDLED:,}"
            case Bar.TIME:
                return f"can be asked for {self._opening(flow)}"

    def _opening(self, flow: AccessFlow) -> str:
        window, now = flow.revision.when, self.asked.now
        return f"{opening_in_words(window, now)} ({window})" if window and now else ""

    def _not_for(self, revision: Revision) -> str:
        asked = self.asked
        whom = [said for each in RequestFor if (said := self._for(each, revision))]
        themselves = asked.requestor.id == asked.grantee.id
        not_for = "oneself" if themselves else asked.grantee.name
        said = f"is not for {not_for}: it can be asked for {joined(whom) or 'nobody'}"
        others = revision.grantees
        if themselves or others is None or RequestFor.OTHERS not in revision.request_for:
            return said
        failing = list(_failing(others, asked.grantee, asked.directory, you=False))
        return f"{said}; {', '.join(failing)}" if failing else said

    def _for(self, each: RequestFor, revision: Revision) -> str:
        if each not in revision.request_for:
            return ""
        match each:
            case RequestFor.SELF:
                return "oneself"
            case RequestFor.DIRECT_REPORTS:
                return "those who report to whoever asks"
            case RequestFor.OTHERS:
                others = revision.grantees
                return people_of(others, self.asked.directory) if others else ""

    def _fails(self, group: ConditionGroup, person: Person) -> str:
        failing = _failing(group, person, self.asked.directory, you=self.you)
        return ", ".join(failing) or "what is known of them cannot be read"


def _failing(
    group: ConditionGroup, person: Person, directory: Directory, *, you: bool
) -> Iterator[str]:
    """Yield what the person is instead, once each, of the conditions that they do not fulfil."""
    each = each_condition(group, person, directory, you=you)
    yield from dict.fromkeys(one.has for one in each if not one.holds)


def _decided(approval: ApprovalRule | None) -> str:
    if approval is None:
        return "at once"
    names = [group.called for group in approval.groups]
    how = f"{approval.join.value} " if len(names) > 1 else ""
    return f"approved by {how}{joined(names, last='and')}"


_CLAUSES = {
    ("user", Comparator.IS): "who are",
    ("user", Comparator.IS_NOT): "who are not",
    ("group", Comparator.IS): "who are in",
    ("group", Comparator.IS_NOT): "who are not in",
    ("group", Comparator.CONTAINS): "who are in a group whose name contains",
    ("group", Comparator.STARTS_WITH): "who are in a group whose name starts with",
    ("group", Comparator.DOES_NOT_CONTAIN): "who are in no group whose name contains",
    ("manager", Comparator.IS): "whose manager is",
    ("manager", Comparator.IS_NOT): "whose manager is not",
    ("on_call", Comparator.IS): "who are on call for",
    ("on_call", Comparator.IS_NOT): "who are on call, but not for",
    ("on_call", Comparator.CONTAINS): "who are on call for what has a name that contains",
    ("on_call", Comparator.STARTS_WITH): "who are on call for what has a name that starts with",
    ("on_call", Comparator.DOES_NOT_CONTAIN): "who are on call, for nothing whose name contains",
}
_TEXTS = {"user": "name or address", "manager": "manager's name or address"}


def _clause(condition: Condition, directory: Directory) -> str:
    attribute, comparator = condition.attribute, condition.comparator
    text = f"whose {_TEXTS.get(attribute, attribute)} {comparator}"
    clause = _CLAUSES.get((attribute, comparator), text)
    return f"{clause} {joined(_values(condition, directory))}"


def _values(condition: Condition, directory: Directory) -> list[str]:
    """Name what is compared with: people and groups by name, parts of texts in quotes."""
    if exact(condition):
        named = {"group": _group, "user": _person, "manager": _person}[condition.attribute]
        return [named(value, directory) for value in condition.values]
    whole = condition.comparator in {Comparator.IS, Comparator.IS_NOT}
    return [value if whole else f"“{value}”" for value in condition.values]


def _group(id_: str, directory: Directory) -> str:
    group = directory.groups.get(GroupId(id_))
    return group.name if group else id_


def _person(id_: str, directory: Directory) -> str:
    person = directory.get(PersonId(id_))
    return person.name if person else "somebody who is not known"


def _has(condition: Condition, person: Person, directory: Directory, *, you: bool) -> str:
    """Say what the person is where the condition looks; or why nobody can fulfil it just now."""
    attribute = condition.attribute
    are, own = ("you are", "your") if you else (f"{person.name} is", f"{person.name}'s")
    have = "you have" if you else f"{person.name} has"
    if not is_sound(condition, directory):
        return "not all is known of groups just now, so that it is open to nobody"
    match attribute:
        case "user":
            negative = condition.comparator.negative
            is_one = matches(ConditionGroup((condition,)), person, directory) is not negative
            them = "those left out" if negative else "them"
            return f"{are} {'one' if is_one else 'none'} of {them}"
        case "group":
            names = sorted(_group(id_, directory) for id_ in person.groups)
            return f"{are} in {joined(names, last='and') or 'no group'}"
        case "manager":
            known = person.manager and directory.get(person.manager)
            return f"{own} manager is {known.name}" if known else f"{have} no manager"
        case "on_call":
            now = sorted(name for name, on in directory.on_call.items() if person.id in on)
            return f"{are} {f'on call for {joined(now)}' if now else 'not on call'}"
        case _:
            values = person.attributes.get(attribute, ())
            return f"{own} {attribute} is {joined(values) if values else 'not known'}"
