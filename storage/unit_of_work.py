"""The requests that one transaction has locked, decided on one after another, stored together."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property

from engine import lifecycle
from engine.commands import Command
from engine.facts import Facts
from engine.holdings import Wishes, held_elsewhere, kept_by
from engine.inventory import Entitlement, EntitlementId
from engine.outcome import NO_SUCH_REQUEST, AuditEntry, Decision, Refusal
from engine.request import AccessRequest, AccountId, RequestId
from storage import apply, facts
from storage.bounds import MOST_ROWS
from storage.company import Company, knowing
from storage.database import Write


class UnitOfWork:
    """Each command is decided on the newest value of its request; `store` writes the outcome.

    Open it with every request that shares an account with those to be decided (`facts.together`,
    `facts.sharing`): what one of them may take away depends on what another still wants.
    """

    def __init__(
        self, tx: Write, company: Company, requests: Iterable[AccessRequest], now: datetime
    ) -> None:
        self._before = {r.id: r for r in requests}
        self._tx, self._now = tx, now
        self._company = company = knowing(tx, company, self._before.values())
        self._after = {id_: Decision(r) for id_, r in self._before.items()}
        self._on = defaultdict[AccountId, set[RequestId]](set)
        for request in self._before.values():
            for grant in request.grants:
                self._on[grant.account].add(request.id)
        self._extra: list[tuple[RequestId | None, AuditEntry]] = []
        self.rows = 0  # that it takes to store what was decided so far
        wanted = {e for r in self._before.values() for e in r.entitlements}
        self.entitlements: Mapping[EntitlementId, Entitlement] = _Inventory(tx, company, wanted)

    @property
    def full(self) -> bool:
        """Whether nothing more is to be begun in this transaction."""
        return self.rows >= MOST_ROWS

    @property
    def requests(self) -> list[AccessRequest]:
        """The newest values, in the order of their ids."""
        return [decision.request for decision in self._after.values()]

    def on(self, *accounts: AccountId) -> list[AccessRequest]:
        """Return the newest values of those with a grant on an account, in their order."""
        ids = {id_ for account in accounts for id_ in self._on[account]}
        return [self._after[id_].request for id_ in sorted(ids)]

    def wishes(self, account: AccountId) -> Wishes:
        """Return what they want of an account, by their newest values."""
        return Wishes(account, self.on(account), self.entitlements)

    def decide(self, id_: RequestId, command: Command) -> Decision | Refusal:
        """Decide a command; a refusal changes nothing."""
        if id_ not in self._after:
            return NO_SUCH_REQUEST
        so_far = self._after[id_]
        request = so_far.request.renamed(self._company.directory.formerly)
        result = lifecycle.decide(request, command, self._facts(request), self._now)
        if isinstance(result, Decision):
            self.rows += apply.weight(so_far.request, result)
            self._after[id_] = Decision(
                result.request, (*so_far.tell, *result.tell), (*so_far.audit, *result.audit)
            )
        return result

    def decided(self, id_: RequestId) -> tuple[AccessRequest, Decision]:
        """Return a request as it is stored, and all that was decided on it."""
        return self._before[id_], self._after[id_]

    def note(self, entry: AuditEntry) -> None:
        """Put a line into the audit that belongs to no request."""
        self._extra.append((None, entry))
        self.rows += 1

    def store(self, only: Sequence[RequestId] | None = None) -> None:
        """Write what was decided. `only`: those that a wake-up was spent on, changed or not."""
        changed = [
            (self._before[id_], d)
            for id_, d in self._after.items()
            if d.request != self._before[id_] or d.tell or d.audit or (only and id_ in only)
        ]
        apply.store(self._tx, self._company, changed, self._now, self._extra)

    def _facts(self, request: AccessRequest) -> Facts:
        sharing = self.on(*(g.account for g in request.grants))
        revision = self._company.revision(request.flow, request.revision)
        return Facts(
            directory=self._company.directory,
            flow=self._company.flow(request.flow),
            revision=revision,
            admins=self._company.admins,
            entitlements=self.entitlements,
            held_elsewhere=held_elsewhere(request, sharing),
            others=[other for other in sharing if other.id != request.id],
            channel=self._company.channel(revision),
        )


class _Inventory(Mapping[EntitlementId, Entitlement]):
    """Entitlements, read when the first of them is asked for: most decisions need none."""

    def __init__(self, tx: Write, company: Company, wanted: set[EntitlementId]) -> None:
        self._tx, self._company, self._wanted = tx, company, wanted

    @cached_property
    def _read(self) -> dict[EntitlementId, Entitlement]:
        found = facts.entitlements(self._tx, self._company, self._wanted)
        facts.note_lost(self._tx, self._wanted - found.keys())
        return found

    def __getitem__(self, id_: EntitlementId) -> Entitlement:
        return self._read[id_]

    def __iter__(self) -> Iterator[EntitlementId]:
        return iter(self._read)

    def __len__(self) -> int:
        return len(self._read)


def carry_out(
    tx: Write,
    company: Company,
    id_: RequestId,
    command: Command,
    now: datetime,
    *,
    also: bool = False,
) -> Decision | Refusal:
    """Decide a command on a stored request, and store what was decided.

    `also`: on the others, too, by which some of what it gives would stay; on them first, so that
    it is this one that is over when its system has confirmed it.
    """
    book = UnitOfWork(tx, company, facts.together(tx, [id_]), now)
    these = [r for r in book.requests if r.id == id_ and also]
    for other in (other for this in these for other in kept_by(this, book.requests)):
        book.decide(other.id, command)
    result = book.decide(id_, command)
    if isinstance(result, Decision):
        book.store()
    return result
