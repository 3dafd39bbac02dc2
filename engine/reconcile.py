"""What a comparison of the ledger with a real system is about, and what it makes of a finding.

What Latchkey ever began to give, has ended or refused since, and is there all the same, is removed.
Access that vanished, and whatever else the ledger does not explain, is reported, and left as it is:
it may be somebody's by right.

A finding that stands is told once. One that was gone at a look, and is there again, is told again.

A login that has held nothing for long is dropped, unless somebody else gave it something; so is one
whose owner has left, whatever it holds.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from engine.account import Account
from engine.alarms import Said
from engine.commands import Observe
from engine.convergence.retries import in_doubt
from engine.holdings import Wishes, target_of
from engine.inventory import Entitlement, EntitlementId, IntegrationId
from engine.outcome import AuditEntry
from engine.port import Holding, Login, Order, Outcome, Presence, Target
from engine.request import SYSTEM, AccessRequest, AccountId, GrantState, RequestId
from engine.words import clause

Seen = Mapping[Target, Outcome]
_REMOVED = "removed"
_WORDS = {
    "vanished": "by {code} it should be there, and it is gone. Somebody else took it away.",
    _REMOVED: "it ended with {code} and was there all the same. It was taken away.",
    "not_removed": (
        "it ended with {code}, is there all the same, and cannot be taken away. It is tried again."
    ),
}
_FOUND = "found/"
_KEPT = "kept"  # a login that should be dropped, and cannot be
_NAMED = 20  # findings in one sentence


@dataclass(frozen=True, slots=True)
class Ledger:
    """What one account may hold by the requests, and what it must not hold any more."""

    held: Mapping[EntitlementId, str]  # and what was left out of it
    ended: frozenset[EntitlementId]
    standing: frozenset[EntitlementId]
    under: Mapping[EntitlementId, str]  # the request that gave it last
    until: datetime | None
    open: bool  # something is held, or is to be
    emptied_at: datetime | None  # when the last that was held ended; None: never, or it is not
    restored: datetime | None  # the database, from a backup

    @property
    def older_than_backup(self) -> bool:
        """Whether something may have been given since, and be unknown."""
        return bool(self.restored and self.emptied_at and self.restored > self.emptied_at)

    @property
    def entitlements(self) -> frozenset[EntitlementId]:
        return self.ended | self.standing | self.held.keys()


def ledger(live: Wishes, past: Iterable[AccessRequest], restored: datetime | None = None) -> Ledger:
    """Add up the requests that are live and those that are over.

    What had ended before the database was `restored` from a backup may have been given anew since.
    """
    every = sorted((*past, *live.requests), key=lambda r: r.id)
    mine = Wishes(live.account, every).grants
    ours = live.sum
    standing = {g.entitlement for _, g in mine if g.standing}
    to_go = {
        g.entitlement
        for r, g in mine
        if g.ever_begun and not g.open and (restored is None or _over_at(r) > restored)
    } | ours.unwanted
    left_out = {g.entitlement: g.left_out for _, g in mine if g.state is GrantState.HELD}
    ends = [_over_at(r) for r, g in mine if g.ever_begun]
    return Ledger(
        {e: left_out.get(e, "") for e in ours.wanted},
        frozenset(to_go - ours.wanted - standing),
        frozenset(standing),
        {g.entitlement: r.code for r, g in mine if g.ever_begun},
        ours.until,
        live.open,
        max(ends, default=None) if not live.open else None,
        restored,
    )


def _over_at(request: AccessRequest) -> datetime:
    return request.ended.at if request.ended else request.submitted_at


@dataclass(frozen=True, slots=True)
class Look:
    """One leased account: what it may hold by the ledger, and what it must not hold any more."""

    account: AccountId
    login: Login
    targets: Mapping[EntitlementId, Target]
    held: Mapping[EntitlementId, str]  # and what was left out of it
    ended: frozenset[EntitlementId]
    standing: frozenset[EntitlementId]
    under: Mapping[EntitlementId, str]  # the request that gave it last
    remaining: timedelta | None
    open: bool = False  # something is held, or is to be
    over: bool = False  # the login is to be dropped
    only_empty: bool = True  # but not while it holds anything, by whomever
    left: bool = False  # its owner has, and there is a login

    @property
    def given(self) -> list[Target]:
        return [self.targets[e] for e in sorted(self.held)]

    def explained(self, sight: "Sight") -> list[Target]:
        """What the ledger knows to be there: given, standing before, or ended and not gone yet."""
        left = [t for t, o in sight.removed.items() if o.presence is not Presence.ABSENT]
        return [*(self.targets[e] for e in sorted(self.held.keys() | self.standing)), *left]

    @property
    def compared(self) -> list[Target]:
        return [self.targets[e] for e in sorted(self.held.keys() | self.ended)]

    def removal(self, seen: Seen) -> Order | None:
        """Return the order that takes away what has ended, if any of it was seen."""
        left = [e for e in sorted(self.ended) if _held(seen, self.targets[e])]
        if not left:
            return None
        holdings = [Holding(target, wanted=True) for target in self.given]
        holdings += [Holding(self.targets[e], wanted=False) for e in left]
        standing = [self.targets[e] for e in sorted(self.standing)]
        return Order(self.login, holdings, self.remaining, standing)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a look came to: what was seen, what came of the removal, and what was seen after it.

    `trace` None: what was kept stays. `unexplained` None: nobody knows. `dropped`: the login is no
    more; these are the connector's notes. `kept`: why it is there all the same.
    """

    seen: Seen
    removed: Seen = field(default_factory=dict[Target, Outcome])
    after: Seen = field(default_factory=dict[Target, Outcome])
    alone: bool = True
    trace: str | None = None
    unexplained: tuple[str, ...] | None = None
    dropped: tuple[str, ...] | None = None
    kept: str = ""

    @property
    def settled(self) -> bool:
        """Whether nothing is left to take away."""
        gone = all(o.presence is Presence.ABSENT for o in self.removed.values())
        return self.alone and gone

    @property
    def clear(self) -> bool:
        """Whether all that was looked for could be seen, too."""
        return self.settled and all(o.presence is not Presence.UNKNOWN for o in self.seen.values())


def look(
    account: Account,
    known: Ledger,
    inventory: Mapping[EntitlementId, Entitlement],
    now: datetime,
    *,
    left: bool = False,
) -> Look:
    """Say what to look for on an account that is leased. `left`: its owner has."""
    return Look(
        account.id,
        Login(account.login, account.person, None, account.proof, account.trace),
        {id_: target_of(inventory[id_]) for id_ in known.entitlements if id_ in inventory},
        known.held,
        known.ended,
        known.standing,
        known.under,
        max(known.until - now, timedelta()) if known.until else None,
        known.open,
        _is_over(account, known, now, left=left),
        not left or known.older_than_backup,
        left and account.password.made,
    )


def _is_over(account: Account, known: Ledger, now: datetime, *, left: bool) -> bool:
    """Tell whether a login is to be dropped: one that Latchkey made, and that is in no doubt.

    What was given since a backup, the restored database does not know.
    """
    if not (account.generates_login and account.password.made and account.readable):
        return False
    if known.emptied_at is None or in_doubt(account, now):
        return False
    since = max(known.emptied_at, known.restored or known.emptied_at)
    longest = account.kind.logins.clean_up_after if account.kind else None
    return left or (longest is not None and now - since >= longest)


@dataclass(frozen=True, slots=True)
class Finding:
    """What the administrators are told, if anything, and what the audit says of it."""

    said: Said | None
    entry: AuditEntry


def strangers(
    integration: IntegrationId, names: Iterable[str], known: Iterable[str]
) -> list[Finding]:
    """Report logins that Latchkey made, and that its ledger does not know."""
    return [
        Finding(
            Said(
                f"stranger/{integration}/{name}",
                f"{integration} has the login {name}: Latchkey made it, its database does not "
                "know it.",
            ),
            AuditEntry("stranger", SYSTEM, {"integration": integration, "login": name}),
        )
        for name in sorted(set(names) - set(known))
    ]


def observations(look: Look, sight: Sight, wishes: Wishes) -> Iterator[tuple[RequestId, Observe]]:
    """Tell the requests what is held and of which something else is left out by now."""
    parts = changed_parts(look, sight)
    for request in wishes.requests:
        seen = {
            g.id: parts[g.entitlement]
            for g in request.grants
            if g.account == wishes.account and g.entitlement in parts and g.state is GrantState.HELD
        }
        if seen:
            yield request.id, Observe(seen, newest=False)


def changed_parts(look: Look, sight: Sight) -> dict[EntitlementId, Outcome]:
    """Return what is held and of which something else is left out by now."""
    seen = {e: sight.seen[look.targets[e]] for e in look.held if look.targets[e] in sight.seen}
    return {
        e: outcome
        for e, outcome in seen.items()
        if outcome.presence is Presence.HELD and outcome.left_out != look.held[e]
    }


def findings(
    look: Look,
    sight: Sight,
    *,
    before: Mapping[str, str],
    found: Mapping[str, str],
    who: str,
    now: datetime,
) -> list[Finding]:
    """Say what is new. `before` is what was remembered, `found` what is remembered from now on."""
    if sight.dropped is not None:
        return [*_changes(look, sight, before, who, now), _dropped(look, sight, who, now)]
    kept = [_not_dropped(look, sight.kept, who, now)] if sight.kept and _KEPT not in before else []
    return [*_changes(look, sight, before, who, now), *_news(look, before, found, who, now), *kept]


def remembered(look: Look, sight: Sight, before: Mapping[str, str]) -> dict[str, str]:
    """Return what is to be remembered until the next look; of a login that is no more, nothing."""
    if sight.dropped is not None:
        return {}
    found = {_KEPT: sight.kept} if sight.kept else dict[str, str]()
    found |= {
        str(e): f"{finding}/{look.under.get(e, '')}"
        for e in look.targets
        if (finding := _finding(look, e, sight))
    }
    if sight.unexplained is None:
        return found | {key: code for key, code in before.items() if key.startswith(_FOUND)}
    return found | {f"{_FOUND}{words}": "" for words in sight.unexplained}


def _finding(look: Look, entitlement: EntitlementId, sight: Sight) -> str:
    """Return what to call it; empty: it is as the ledger says, or not of the ledger."""
    target = look.targets[entitlement]
    if entitlement in look.held:
        gone = target in sight.seen and sight.seen[target].presence is Presence.ABSENT
        return "vanished" if gone else ""
    came = sight.removed.get(target)
    if came is None:
        return ""
    if came.presence is not Presence.ABSENT:
        return "not_removed"
    return "" if _held(sight.after, target) else _REMOVED  # else somebody gave it, too


def _changes(
    look: Look, sight: Sight, before: Mapping[str, str], who: str, now: datetime
) -> Iterator[Finding]:
    """Say of each target what became of it, and what was done."""
    for entitlement, target in look.targets.items():
        code = look.under.get(entitlement, "")
        finding = _finding(look, entitlement, sight)
        stands = finding != _REMOVED and before.get(str(entitlement)) == f"{finding}/{code}"
        if not finding or stands:
            continue
        key = f"{finding}/{look.account}/{entitlement}/{code}/{now.isoformat()}"
        detail = {"login": look.login.name, "target": str(target), "under": code}
        sentence = f"{who}, {target}: {_WORDS[finding].format(code=code)}"
        yield Finding(Said(key, sentence), AuditEntry(finding, SYSTEM, detail))


def _dropped(look: Look, sight: Sight, who: str, now: datetime) -> Finding:
    """Say that a login was dropped, with what it held beyond Latchkey's doing; the administrators
    are told where it leaves something behind.
    """
    notes, name = list(sight.dropped or ()), look.login.name
    detail = {"login": name, "access": list(sight.unexplained or ()), "notes": notes}
    sentence = f"The login {name} of {who} was dropped. {' '.join(notes)}"
    said = Said(f"dropped/{look.account}/{now.isoformat()}", sentence) if notes else None
    return Finding(said, AuditEntry("login_dropped", SYSTEM, detail))


def _not_dropped(look: Look, why: str, who: str, now: datetime) -> Finding:
    sentence = (
        f"The login {look.login.name} of {who} holds nothing any more and is to be dropped; it "
        f"cannot be: {clause(why)}. It is tried again."
    )
    detail = {"login": look.login.name, "why": why}
    return Finding(
        Said(f"{_KEPT}/{look.account}/{now.isoformat()}", sentence),
        AuditEntry("login_not_dropped", SYSTEM, detail),
    )


def _news(
    look: Look, before: Mapping[str, str], found: Mapping[str, str], who: str, now: datetime
) -> Iterator[Finding]:
    """Name, all at once, what the ledger does not explain and was not there at the last look."""
    new = [key.removeprefix(_FOUND) for key in found if key.startswith(_FOUND)]
    new = [words for words in new if f"{_FOUND}{words}" not in before]
    if not new:
        return
    listed = "; ".join(new[:_NAMED])
    if more := len(new) - len(new[:_NAMED]):
        listed += f"; and {more} more"
    key = f"{_FOUND}{look.account}/{now.isoformat()}"
    sentence = (
        f"{who} has, as {look.login.name}, access that is not through Latchkey: {listed}. "
        "It was left as it is."
    )
    entry = AuditEntry("found", SYSTEM, {"login": look.login.name, "access": new})
    yield Finding(Said(key, sentence), entry)


def _held(seen: Seen, target: Target) -> bool:
    return target in seen and seen[target].presence is Presence.HELD
