"""The form by which access is asked for, and the answers to what is typed into its search."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.views import ids
from bot.views.blocks import (
    context,
    divider,
    fields,
    input_,
    modal,
    option,
    plain_text,
    section,
)
from bot.views.phrases import risk_of, times
from bot.views.rich import told
from bot.views.text import count, cut, escape, in_a_row, prose, rows, verbatim, when
from bot.views.values import Asked, Block, Form, Preview, Start, View
from engine.directory import PersonId
from engine.duration import HINT, hint_below, in_words
from engine.flow import MAX_JUSTIFICATION, FlowId, Revision
from engine.inventory import EntitlementId, ResourceId
from engine.targets import ObjectId
from engine.words import line

__all__ = [
    "block_of",
    "duration_block",
    "flow_block",
    "people_options",
    "permission_block",
    "request_modal",
    "resource_block",
    "resource_options",
    "time_block",
    "wish_option",
    "wished",
]

# Slack's own limit. At a lower one its client would count otherwise than `MAX_JUSTIFICATION` does,
# and refuse emoji that are allowed. What passes here and is too long, the engine says; what does
# not, Slack says at the field. Either way the text stays.
_TYPED = 3000
_THINGS = 8  # of a bundle, that are named
_FEW = 3  # people, who are named rather than counted

NOW, LATER = "now", "later"  # when it starts
_WISH = "wish/"  # how the value of an option begins that is no resource
_WISHED = 60  # characters: of a value, Slack takes 75


def request_modal(form: Form, *, metadata: str = "") -> View:
    """Draw the form as far as it is filled in. What is typed stays, but for a new prefill."""
    blocks = [*_notes(form.notes), *_grantee(form), _resource(form)]
    if form.resource:
        blocks.append(_permission(form, form.resource[0]))
    if len(form.flows) > 1:
        blocks.append(_flow(form))
    blocks += [_duration(form), *_start(form.start), _justification(form)]
    blocks += _preview(form.preview) if form.preview else [context(_next_step(form))]
    return modal(
        "Change request" if form.instead else "Request access",
        blocks,
        submit="Change" if form.instead else "Request",
        close="Cancel",
        callback=ids.REQUEST_MODAL,
        metadata=metadata,
    )


def resource_block(form: Form) -> str:
    """Name the block after whom it is for: of others other things can be asked for."""
    whose = form.grantee[0] if form.grantee else ""
    return f"{ids.RESOURCE}/{whose}" if form.others else ids.RESOURCE


def permission_block(resource: ResourceId) -> str:
    """Name the block: another resource's is another one, so that Slack keeps no stale choice."""
    return f"{ids.PERMISSION}/{resource}"


def duration_block(prefill: str) -> str:
    """Name the block: a new prefill makes a new one, since Slack keeps what stands in the old."""
    return f"{ids.DURATION}/{verbatim(prefill, 200)}"


def time_block(zone: str) -> str:
    """Name the block after the zone whose clocks are meant."""
    return f"{ids.START_TIME}/{zone}"


def flow_block(about: EntitlementId | str | None, usual: FlowId | None) -> str:
    """Name the block after what it is about, and the flow that applies unless one is picked."""
    return f"{ids.FLOW}/{about}/{usual}"


def block_of(blocks: Sequence[Block], action: str) -> str | None:
    """Find the input by its action id; errors are told by the id of its block."""
    for block in blocks:
        match block:
            case {"block_id": str(id_), "element": {"action_id": named}} if named == action:
                return id_
    return None


def resource_options(
    found: Sequence[tuple[ResourceId, str, str]],
    systems: Mapping[ResourceId, str] | None = None,
    bundles: Sequence[tuple[ObjectId, str, str]] = (),
) -> Block:
    """Answer a search with (id, label, description), at most 100; grouped where systems are known.

    Of a long label the end is shown. Bundles come first.
    """
    whole = [option(name, f"{ids.BUNDLE}{id_}", said) for id_, name, said in bundles[:100]]
    left = found[: 100 - len(whole)]
    offered = [(r, option(label, str(r), description)) for r, label, description in left]
    if not systems or not offered:
        return {"options": [*whole, *(chosen for _, chosen in offered)]}
    groups: dict[str, list[Block]] = {"Bundles": whole} if whole else {}
    for resource, chosen in offered:
        groups.setdefault(systems.get(resource, ""), []).append(chosen)
    return {
        "option_groups": [
            {"label": plain_text(name or "Other", 75), "options": chosen}
            for name, chosen in groups.items()
        ]
    }


def wish_option(words: str) -> Block:
    """Offer, where a search has found nothing, to tell the administrators; see `wished`."""
    label = f"📣 Tell the administrators that you want {words}"
    text = plain_text(label, 75)
    return {"options": [{"text": text, "value": f"{_WISH}{verbatim(words, _WISHED)}"}]}


def wished(value: str) -> str:
    """Return which words were looked for and not found; nothing: something was chosen."""
    return value.removeprefix(_WISH) if value.startswith(_WISH) else ""


def _notes(notes: Sequence[str]) -> Iterable[Block]:
    if notes:
        yield told(rows(notes, lambda note: f"⚠️ {cut(line(note), 400)}", limit=2400))


def people_options(found: Sequence[tuple[PersonId, str, str]]) -> Block:
    """Answer a search with (id, name, address), at most 100."""
    return {"options": [option(name, id_, address) for id_, name, address in found[:100]]}


def _grantee(form: Form) -> Iterable[Block]:
    if not form.others:
        return
    grantee, name = form.grantee or (None, "")
    element = _searched(ids.GRANTEE, "Search by name or address", name, str(grantee or ""))
    yield input_(ids.GRANTEE, "For whom?", element, dispatch=True)


def _resource(form: Form) -> Block:
    resource, label = form.resource or (None, "")
    value = str(resource or "")
    if form.bundle:
        bundle, label = form.bundle
        value = f"{ids.BUNDLE}{bundle}"
    element = _searched(ids.RESOURCE, "Search by name, path or system", label, value)
    asks = "Access to what?" if form.others else "What do you need access to?"
    return input_(resource_block(form), asks, element, dispatch=True)


def _searched(action: str, how: str, label: str, value: str) -> Block:
    """Make a field whose options are searched for; with a `value`, it is chosen already."""
    element: Block = {
        "type": "external_select",
        "action_id": action,
        "min_query_length": 0,
        "placeholder": plain_text(how, 150),
    }
    return element | ({"initial_option": option(label, value)} if value else {})


def _permission(form: Form, resource: ResourceId) -> Block:
    options = {
        id_: option(label, str(id_), form.later.get(id_, ""))
        for id_, label in form.permissions[:100]
    }
    if not options:  # Slack refuses a menu without any
        return section("🚫 Nothing on it can be requested. Choose something else.")
    element = _menu(ids.PERMISSION, "Choose a permission", options, form.permission)
    return input_(
        permission_block(resource), "What do you want to do with it?", element, dispatch=True
    )


def _flow(form: Form) -> Block:
    options = {
        flow.id: option(flow.name, str(flow.id), _asks_for(flow.revision, form.closed.get(flow.id)))
        for flow in form.flows[:100]
    }
    element = _menu(ids.FLOW, "Choose an access flow", options, form.flow)
    about = f"{ids.BUNDLE}{form.bundle[0]}" if form.bundle else form.permission
    block = flow_block(about, form.usual)
    return input_(block, "Under which access flow?", element, dispatch=True)


def _menu(action: str, placeholder: str, options: Mapping[Any, Block], chosen: object) -> Block:
    element: Block = {
        "type": "static_select",
        "action_id": action,
        "placeholder": plain_text(placeholder, 150),
        "options": list(options.values()),
    }
    return element | {"initial_option": options[chosen]} if chosen in options else element


def _asks_for(revision: Revision, opens: str | None) -> str:
    approval = revision.approval
    if approval is None:
        decided = "automatic"
    elif len(approval.groups) == 1:
        decided = f"approved by {approval.groups[0].called}"
    else:
        decided = f"approved by {approval.join.value} {len(approval.groups)} groups"
    said = f"{_at_most(revision.grant_for)}, {decided}"
    return f"{opens}, {said}" if opens else said


def _duration(form: Form) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.DURATION,
        "max_length": 100,
        "placeholder": plain_text("For example 90 min", 150),
    }
    if form.prefill:
        element["initial_value"] = verbatim(form.prefill, 100)
    hint = HINT
    if form.preview and (longest := form.preview.longest):
        hint = f"{hint_below(longest)} At most {in_words(longest)}."
    elif form.preview:
        hint = f"{HINT} Or: {in_words(None)}."
    return input_(duration_block(form.prefill), "For how long?", element, hint=hint)


def _start(start: Start | None) -> Iterable[Block]:
    """Ask for a day and a time once somebody wants another start than now.

    Slack's picker of both goes by the computer's zone, whatever the profile says.
    """
    if start is None:
        return
    now, later = option("Now", NOW), option("At another time", LATER)
    choice: Block = {
        "type": "radio_buttons",
        "action_id": ids.START,
        "options": [now, later],
        "initial_option": later if start.later else now,
    }
    yield input_(ids.START, "When does it start?", choice, dispatch=True)
    if not start.later:
        return
    day: Block = {
        "type": "datepicker",
        "action_id": ids.START_DAY,
        "initial_date": start.day,
    }
    time: Block = {
        "type": "timepicker",
        "action_id": ids.START_TIME,
        "timezone": start.zone,
        "placeholder": plain_text("Choose a time", 150),
    }
    if start.time:
        time["initial_time"] = start.time
    hint = "The time zone is that of your Slack profile."
    yield input_(ids.START_DAY, "On which day?", day, dispatch=True)
    yield input_(time_block(start.zone), "At what time?", time, hint=hint, dispatch=True)


def _justification(form: Form) -> Block:
    element: Block = {
        "type": "plain_text_input",
        "action_id": ids.JUSTIFICATION,
        "multiline": True,
        "max_length": _TYPED,
        "placeholder": plain_text("For example: INC-42, checking a customer's order", 150),
    }
    if form.justification:
        element["initial_value"] = verbatim(form.justification, _TYPED)
    optional = form.preview is None or not form.preview.requires_justification
    hint = f"Whoever decides reads this. At most {MAX_JUSTIFICATION:,} characters."
    return input_(ids.JUSTIFICATION, "Why do you need it?", element, hint=hint, optional=optional)


def _next_step(form: Form) -> str:
    missing = "a permission" if form.resource else "what you need"
    if form.others and not form.grantee:
        missing = "for whom it is"
    return f"Choose {missing}, and you will see here who approves it and for how long you get it."


def _preview(preview: Preview) -> Iterable[Block]:
    yield divider()
    if preview.closed:
        yield section(f"🕘 {cut(escape(preview.closed), 600)}")
    yield fields(_facts(preview))
    if preview.things:
        yield section(rows(preview.things, _thing, limit=1500, most=_THINGS))
    if preview.caveat:
        yield told(f"⚠️ {line(preview.caveat)}", 600)
    if preview.held:
        yield section(rows(preview.held, _held, limit=1500, most=5))
    about = cut(prose(line(preview.description)), 600)
    yield context(f"Access flow *{cut(escape(preview.flow), 200)}*", about)


def _thing(thing: str) -> str:
    return f"• {cut(escape(thing), 150)}"


def _facts(preview: Preview) -> Iterator[tuple[str, str]]:
    if preview.grantee:
        told = "who is told, and can decline" if preview.in_slack else "who is not in Slack yet"
        yield "For", f"{cut(escape(preview.grantee), 200)}, {told}"
    yield "Who approves", _approvers(preview)
    if preview.starts:
        yield "Start", _from_until(preview.starts, preview.ends)
    yield "How long", _lasting(preview)
    yield "Risk", risk_of(preview.risk)
    if preview.requires_mfa:
        yield "Verification", "🔐 You will verify with a code first"


def _approvers(preview: Preview) -> str:
    if not preview.approvers:
        return "✅ Automatic: nobody needs to approve"
    named = [
        in_a_row([_group(preview, asked) for asked in group], most=2) for group in preview.approvers
    ]
    if len(named) == 1:
        return named[0]
    more = f" and {len(named) - 4} more" if len(named) > 4 else ""
    return f"{preview.join.value}: {'; '.join(named[:4])}{more}"


def _group(preview: Preview, asked: Asked) -> str:
    """Name the people of a group where they are few, else the group."""
    group, people = cut(escape(asked.group), 60), asked.people
    if not people:
        stand_in = f"; {_few(preview.stand_ins)} decides" if preview.stand_ins else ""
        return f"{group}: nobody at the moment{stand_in}"
    if asked.needs > 1:
        return _several(preview, asked)
    if len(people) > _FEW:
        return f"{group} ({count(len(people), 'person', 'people')})"
    if asked.manager:
        whose = f"{cut(escape(preview.grantee), 60)}'s" if preview.grantee else "your"
        return f"{_few(people)}, {whose} manager"
    return f"{_few(people)} ({group})"


def _several(preview: Preview, asked: Asked) -> str:
    group, people = cut(escape(asked.group), 60), asked.people
    whom = f"{asked.needs} of {group}"
    if len(people) < asked.needs:
        stand_in = f"; {_few(preview.stand_ins)} decides too" if preview.stand_ins else ""
        return f"{whom}: only {_all(people)} at the moment{stand_in}"
    if len(people) > _FEW:
        return f"{whom} ({count(len(people), 'person', 'people')})"
    return f"{whom} ({_all(people)})"


def _all(people: Sequence[str]) -> str:
    return in_a_row([cut(escape(name), 60) for name in people])


def _few(people: Sequence[str]) -> str:
    """Name people of whom one is enough; of many an administrator."""
    if len(people) > _FEW:
        return "an administrator"
    return in_a_row([cut(escape(name), 60) for name in people], last="or")


def _lasting(preview: Preview) -> str:
    said = _at_most(preview.longest)
    if preview.extensions and preview.each:
        said += f", extendable {times(preview.extensions, preview.each)}"
    return said


def _from_until(starts: datetime, ends: datetime | None) -> str:
    until = f", until {when(ends)}" if ends else ""
    return f"{when(starts)}{until}"


def _at_most(longest: timedelta | None) -> str:
    return f"at most {in_words(longest)}" if longest else "no limit"


def _held(held: tuple[str, datetime | None]) -> str:
    code, ends = held
    lasts = f"until {when(ends)}" if ends else "without end"
    return f"📌 You hold this already, under {escape(code)}, {lasts}."
