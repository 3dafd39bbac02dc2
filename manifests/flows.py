"""Access flows as written: the documents, their JSON Schema, and the way back."""

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
)

from engine.channel import DIRECTLY, ChannelId, Notify
from engine.directory import Directory
from engine.duration import in_words
from engine.flow import (
    FURTHEST_AHEAD,
    MAX_DURATION,
    MIN_DURATION,
    ApprovalRule,
    ApproverGroup,
    Escalation,
    Extension,
    Quorum,
    RequestFor,
    Revision,
    TierCounts,
)
from manifests import targets, windows
from manifests.conditions import Approvers, People, written
from manifests.objects import GLOBAL, Description, full_name, short_name
from manifests.parts import (
    ONE_LINE,
    SEEN,
    Name,
    Notes,
    OneLine,
    Stated,
    Vocabulary,
    at_most,
    beside,
    between,
    listed,
    none_for,
    read_duration,
    shown,
    stated,
)
from manifests.targets import Targets
from manifests.windows import When

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
HALF_HOUR = timedelta(minutes=30)
_OFF = ("off", "no", "false")
_EVERY = timedelta(minutes=1), 7 * DAY
_LAPSE = timedelta(minutes=15), 30 * DAY


def _until(value: object) -> timedelta | None:
    if isinstance(value, str) and value.strip().casefold() == "indefinite":
        return None
    return read_duration(value, least=MIN_DURATION, most=MAX_DURATION)


def _ahead(value: object) -> timedelta | None:
    if isinstance(value, str) and value.strip().casefold() in _OFF:
        return None
    return read_duration(value, least=DAY, most=FURTHEST_AHEAD)


def _false(value: object) -> object:
    said = isinstance(value, str) and value.casefold() in _OFF
    return False if said else value


def _distinct(words: list[object], notes: Notes) -> None:
    seen = set[str]()
    for i, word in enumerate(words):
        plain = word.strip().casefold() if isinstance(word, str) else ""
        if plain in seen:
            notes.add(f"{shown(word)} is here twice. Keep one.", i)
        seen |= {plain} - {""}


_Grant = Annotated[timedelta | None, PlainValidator(_until, json_schema_input_type=str | int)]
_Each = Annotated[timedelta, between(MIN_DURATION, MAX_DURATION)]
_Every = Annotated[timedelta, between(*_EVERY)]
_Lapse = Annotated[timedelta, between(*_LAPSE)]
_Ahead = Annotated[
    timedelta | None,
    PlainValidator(_ahead, json_schema_input_type=str | int | Literal[False]),
]
_Label = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40), ONE_LINE, SEEN
]
_No = Annotated[
    Literal[False],
    BeforeValidator(_false, json_schema_input_type=Literal[False, "off", "no"]),
]


def _channel(value: object) -> ChannelId:
    if isinstance(value, str) and _CHANNEL_ID.fullmatch(value.strip()):
        return ChannelId(value.strip())
    raise ValueError(
        f"Write a channel's id, such as C0123ABCDE; found {shown(value)}. Slack shows it at the "
        "bottom of the channel's details."
    )


_CHANNEL_ID = re.compile("[CG][A-Z0-9]{5,20}")
_Channel = Annotated[ChannelId, PlainValidator(_channel, json_schema_input_type=str)]


class ExtensionDocument(Stated):
    times: int = Field(ge=1, le=10, description="How often an access can be extended.")
    each: _Each | None = Field(
        None, description="By how much; 30 min, or grant_for if less, unless said."
    )

    def extension(self, longest: timedelta) -> Extension:
        return Extension(self.times, self.each or min(HALF_HOUR, longest))


class TierDocument(Stated):
    """People who are asked when nobody has decided in time."""

    name: Name = Field(description="What people read: “any of: DBA on call”.")
    people: Approvers

    def group(self) -> ApproverGroup:
        return ApproverGroup(self.name, self.people)


class ApproverGroupDocument(TierDocument):
    """People of whom one, or as many as it needs, must approve."""

    needs: int = Field(1, ge=1, le=5, description="How many different people of it must approve.")

    def group(self) -> ApproverGroup:
        return ApproverGroup(self.name, self.people, self.needs)


_AtMostTen = Annotated[
    list[ApproverGroupDocument] | None,
    Field(min_length=1, json_schema_extra={"maxItems": 10}),
    at_most(10),
]


class ApprovalDocument(Stated):
    any_of: _AtMostTen = None
    all_of: _AtMostTen = None
    distinct: bool = Field(
        default=True, description="Nobody's approval counts for two groups of all_of."
    )

    @classmethod
    def judge(cls, said: Mapping[str, Any], known: Vocabulary, notes: Notes) -> None:  # noqa: ARG003
        joins = stated(said, "any_of", "all_of")
        if len(joins) > 1 or not said.keys() & {"any_of", "all_of"}:
            notes.add("Write either any_of or all_of, with a list of approver groups.")
        elif joins == ["any_of"] and "distinct" in said:
            notes.add("`distinct` speaks of all_of alone. Leave it out.")

    def approval(self) -> ApprovalRule:
        groups = tuple(group.group() for group in self.any_of or self.all_of or ())
        join = Quorum.ANY_OF if self.any_of else Quorum.ALL_OF
        return ApprovalRule(groups, join, self.distinct)


class EscalationDocument(Stated):
    every: _Every = Field(HALF_HOUR, json_schema_extra={"default": "30 min"})
    tiers: Annotated[
        list[TierDocument],
        Field(min_length=1, json_schema_extra={"maxItems": 5}),
        at_most(5),
    ]
    counts: TierCounts = Field(
        TierCounts.WHOLE_REQUEST, description="What a tier's approval counts for."
    )

    def escalation(self) -> Escalation:
        return Escalation(self.every, tuple(tier.group() for tier in self.tiers), self.counts)


class NotifyDocument(Stated):
    """A channel of Slack's, with a card in which those who are asked are mentioned."""

    channel: _Channel = Field(description="Its id, such as C0123ABCDE.")
    direct_messages: bool = Field(
        default=False, description="Whether those who are in it get direct messages, too."
    )

    def notify(self) -> Notify:
        return Notify(self.channel, self.direct_messages)


class FlowDocument(Stated):
    """One access flow: who may request what, for how long, approved by whom."""

    name: Name
    active: bool = True
    description: Description = ""
    labels: Annotated[
        list[_Label],
        Field(json_schema_extra={"maxItems": 20}),
        at_most(20),
        beside(_distinct),
    ] = Field(default_factory=list[str])
    requestors: People = Field(description="Who may ask.")
    request_for: Annotated[
        list[RequestFor],
        BeforeValidator(listed, json_schema_input_type=RequestFor | list[RequestFor]),
        Field(min_length=1),
        beside(_distinct),
    ] = Field([RequestFor.SELF], description="For whom. Nobody's others include themselves.")
    grantees: People | None = Field(
        None, description="Who the others are that it can be asked for."
    )
    targets: Targets = Field(description="What can be had.")
    grant_for: _Grant = Field(
        HOUR,
        description="The longest time, 5 min to 365 days, or `indefinite`.",
        json_schema_extra={"default": "1 h"},
    )
    extension: Annotated[ExtensionDocument | None, none_for(ExtensionDocument, *_OFF)] = None
    approval: Annotated[ApprovalDocument | None, none_for(ApprovalDocument, "automatic")] = Field(
        None, description="Left out: automatic."
    )
    lapses_after: _Lapse = Field(
        DAY,
        description="When a request that nobody decided ends.",
        json_schema_extra={"default": "1 day"},
    )
    escalation: Annotated[EscalationDocument | None, none_for(EscalationDocument, *_OFF)] = None
    start_later: _Ahead = Field(
        7 * DAY,
        description="How far ahead a start may be that is asked for, 1 to 30 days, or `off`.",
        json_schema_extra={"default": "7 days"},
    )
    require_mfa: _No = False
    require_justification: bool = True
    require_reason: bool = Field(default=False, description="Of approvers.")
    self_approval: bool = Field(
        default=False, description="Whether requestor and grantee may approve their own request."
    )
    listed: bool = Field(
        default=True,
        description="Whether others than its requestors may learn that it and its things exist.",
    )
    break_glass: _No = False
    when: When = Field(
        None,
        description="On which days, between which times it can be asked for.",
        json_schema_extra={"default": "always"},
    )
    space: OneLine = Field(GLOBAL, description="The space that it belongs to.")
    notify: Annotated[NotifyDocument | None, none_for(NotifyDocument, "direct messages")] = Field(
        None,
        description="Where approvers are asked.",
        json_schema_extra={"default": "direct messages"},
    )

    @classmethod
    def judge(cls, said: Mapping[str, Any], known: Vocabulary, notes: Notes) -> None:  # noqa: ARG003
        _judge_grantees(said, notes)
        _judge_extension(said, notes)
        if "approval" in said and not _means(said["approval"], "automatic"):
            _judge_escalation(said, notes)
            return
        if isinstance(said.get("escalation"), dict):
            notes.add("An automatic flow has nothing to escalate. Add an approval.", "escalation")
        if isinstance(said.get("notify"), dict):
            notes.add("An automatic flow asks nobody. Add an approval.", "notify")

    def revision(self, space: str = "") -> Revision:
        """Return the flow of a space. What its targets name is called as it is written."""
        longest = self.grant_for or MAX_DURATION
        return Revision(
            name=full_name(self.name, space),
            space=space,
            requestors=self.requestors,
            request_for=frozenset(self.request_for),
            grantees=self.grantees,
            targets=tuple(target.target() for target in self.targets),
            when=self.when.window() if self.when else None,
            grant_for=self.grant_for,
            extension=self.extension.extension(longest) if self.extension else None,
            approval=self.approval.approval() if self.approval else None,
            escalation=self.escalation.escalation() if self.escalation else None,
            lapses_after=self.lapses_after,
            start_later=self.start_later,
            require_justification=self.require_justification,
            require_reason=self.require_reason,
            self_approval=self.self_approval,
            listed=self.listed,
            notify=self.notify.notify() if self.notify else DIRECTLY,
            labels=tuple(self.labels),
            description=self.description,
        )


def _judge_grantees(said: Mapping[str, Any], notes: Notes) -> None:
    whom = listed(said.get("request_for", []))
    words = {str(each) for each in whom} if isinstance(whom, list) else {""}
    if RequestFor.OTHERS in words:
        if "grantees" not in said:
            notes.add("Say who the others are, such as `group: Support`.", "grantees")
    elif said.get("grantees") is not None and words <= {*RequestFor}:
        notes.add("These are the others of request_for. Add `others` there.", "grantees")


def _judge_extension(said: Mapping[str, Any], notes: Notes) -> None:
    extension = said.get("extension")
    if not isinstance(extension, dict):
        return
    if _means(said.get("grant_for"), "indefinite"):
        notes.add("Access without end cannot be extended. Take the extension out.", "extension")
        return
    longest, each = _time(said.get("grant_for", in_words(HOUR))), _time(extension.get("each"))
    if longest and each and each > longest:
        notes.add(
            f"Each extension is {in_words(each)}, longer than grant_for. "
            f"At most {in_words(longest)}.",
            "extension",
        )


def _judge_escalation(said: Mapping[str, Any], notes: Notes) -> None:
    escalation = said.get("escalation")
    tiers = escalation.get("tiers") if isinstance(escalation, dict) else None
    if not isinstance(escalation, dict) or not isinstance(tiers, list):
        return
    every = _time(escalation.get("every", in_words(HALF_HOUR)), *_EVERY)
    lapse = _time(said.get("lapses_after", in_words(DAY)), *_LAPSE)
    if every and lapse and every * len(tiers) >= lapse:
        notes.add(
            f"{in_words(every * len(tiers))} of escalation reach lapses_after, {in_words(lapse)}. "
            "Escalate sooner, or let requests lapse later.",
            "escalation",
        )


def _means(value: object, word: str) -> bool:
    return isinstance(value, str) and value.strip().casefold() == word


def _time(
    value: object, least: timedelta = MIN_DURATION, most: timedelta = MAX_DURATION
) -> timedelta | None:
    """Return the time that is written; None: what is wrong with it is said where it stands."""
    try:
        return read_duration(value, least=least, most=most)
    except ValueError:
        return None


def flow_schema() -> dict[str, Any]:
    """Return the JSON Schema of flows.yaml, as published in manifests/flow.schema.json."""
    schema = FlowDocument.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.pop("$defs", {})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Latchkey's access flows",
        "type": "object",
        "properties": {"flows": {"type": "array", "items": {"$ref": "#/$defs/Flow"}}},
        "required": ["flows"],
        "additionalProperties": False,
        "$defs": {"Flow": schema, **definitions},
    }


def revision_document(revision: Revision, directory: Directory) -> dict[str, Any]:
    """Return the flow as flows.yaml writes it; `active` is the caller's to add.

    Loading it gives the revision again, unless it has what the files cannot say yet.
    """
    plain = Revision(revision.name, revision.requestors, revision.targets)
    said = {
        "description": revision.description,
        "labels": list(revision.labels),
        "request_for": [each.value for each in RequestFor if each in revision.request_for],
        "grantees": revision.grantees and written(revision.grantees, directory),
        "when": revision.when and windows.written(revision.when),
        "grant_for": in_words(revision.grant_for) if revision.grant_for else "indefinite",
        "extension": revision.extension
        and {"times": revision.extension.times, "each": in_words(revision.extension.each)},
        "approval": revision.approval and _approval(revision.approval, directory),
        "lapses_after": in_words(revision.lapses_after),
        "escalation": revision.escalation and _escalation(revision.escalation, directory),
        "start_later": in_words(revision.start_later) if revision.start_later else "off",
        "require_mfa": revision.require_mfa,
        "require_justification": revision.require_justification,
        "require_reason": revision.require_reason,
        "self_approval": revision.self_approval,
        "listed": revision.listed,
        "notify": {"channel": revision.notify.channel}
        | ({"direct_messages": True} if revision.notify.directly else {}),
        "space": revision.space,
    }
    return {
        "name": short_name(revision.name, revision.space),
        "requestors": written(revision.requestors, directory),
        "targets": [targets.written(target) for target in revision.targets],
    } | {k: v for k, v in said.items() if getattr(revision, k) != getattr(plain, k)}


def _approval(approval: ApprovalRule, directory: Directory) -> dict[str, Any]:
    key = "any_of" if approval.join is Quorum.ANY_OF else "all_of"
    document: dict[str, Any] = {key: _groups(approval.groups, directory)}
    return document if approval.distinct else document | {"distinct": False}


def _escalation(escalation: Escalation, directory: Directory) -> dict[str, Any]:
    return {
        "every": in_words(escalation.every),
        "tiers": _groups(escalation.tiers, directory),
        "counts": escalation.counts.value,
    }


def _groups(groups: tuple[ApproverGroup, ...], directory: Directory) -> list[dict[str, Any]]:
    return [
        {"name": g.name, "people": written(g.conditions, directory)}
        | ({"needs": g.needs} if g.needs > 1 else {})
        for g in groups
    ]
