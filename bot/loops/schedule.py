"""Which kinds of jobs there are: what runs each, and how often."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from slack_sdk import WebClient

from bot.loops.access import AccessLoop
from bot.loops.jobs import Periodic
from bot.runtime.services import Services
from bot.usecases import (
    anchors,
    channels,
    credentials,
    delegate,
    discover,
    endless,
    reconcile,
    roster,
    sweep,
    wishes,
)
from bot.usecases.anchors import Anchors
from bot.usecases.reach import Notes
from engine.account import SHOWN_FOR
from engine.channel import ChannelId
from engine.inventory import IntegrationId
from engine.request import AccountId
from storage.jobs import Job, JobKind

__all__ = ["Schedule"]


@dataclass(frozen=True, slots=True)
class Schedule:
    services: Services
    access: AccessLoop
    client: WebClient
    anchors: Anchors
    notes: Notes
    discover_every: timedelta
    reconcile_every: timedelta

    def kinds(self) -> Mapping[JobKind, Periodic]:
        """Return all of them."""
        return {
            JobKind.DISCOVER: Periodic(self._discover, self.discover_every),
            JobKind.RECONCILE: Periodic(self._reconcile, self.reconcile_every),
            JobKind.RECONCILE_ACCOUNT: Periodic(self._reconcile_account, reconcile.SOON),
            JobKind.SLACK_PEOPLE: Periodic(self._read_people, roster.EVERY),
            JobKind.CHANNEL: Periodic(self._look_at_channel, channels.EVERY),
            JobKind.DELEGATION: Periodic(self._look_at_delegations, delegate.EVERY),
            JobKind.FORGET_SECRET: Periodic(self._forget_secret, SHOWN_FOR),
            JobKind.ANCHOR: Periodic(self.anchors.tell, anchors.EVERY),
            JobKind.WISHES: Periodic(self._tell_wishes, wishes.EVERY),
            JobKind.ENDLESS: Periodic(self._tell_endless, endless.EVERY),
            JobKind.SWEEP: Periodic(self._sweep, sweep.EVERY),
        }

    def _discover(self, job: Job) -> timedelta:
        system = IntegrationId(job.subject)
        if system in self.services.connected:
            discover.discover(self.services, system)
            self.notes.targets(self.services, system)
        return self.discover_every

    def _reconcile(self, job: Job) -> timedelta:
        if IntegrationId(job.subject) in self.services.connected:
            reconcile.reconcile(self.services, self.access.aside, IntegrationId(job.subject))
        return self.reconcile_every

    def _reconcile_account(self, job: Job) -> timedelta | None:
        return reconcile.reconcile_account(
            self.services, self.access.aside, AccountId(int(job.subject))
        )

    def _read_people(self, job: Job) -> timedelta:
        again = roster.read_on(self.services, self.client, job)
        if again == roster.EVERY:  # all were read
            self.notes.people(self.services)
        return again

    def _look_at_channel(self, job: Job) -> timedelta | None:
        return channels.look(self.services, self.client, ChannelId(job.subject))

    def _look_at_delegations(self, job: Job) -> timedelta | None:
        return delegate.look(self.services, job)

    def _tell_wishes(self, _: Job) -> timedelta:
        return wishes.tell(self.services)

    def _tell_endless(self, _: Job) -> timedelta:
        return endless.tell(self.services)

    def _forget_secret(self, job: Job) -> timedelta | None:
        return credentials.forget(self.services, AccountId(int(job.subject)))

    def _sweep(self, _job: Job) -> timedelta:
        sweep.sweep(self.services)
        return sweep.EVERY
