"""What is looked after each second, and is no part of the duty to end access."""

from collections.abc import Callable, Mapping, Sequence

import structlog

from bot.loops.follow import SystemsFollower
from bot.loops.watch import Watch
from bot.runtime.connectors import SECRET_FAULT, references
from bot.runtime.references import ENV_FILE, env_fault
from bot.runtime.services import Services
from bot.settings import unknown
from bot.slack.client import BARRED as SLACK
from bot.usecases import plan, reached, systems, whose
from bot.usecases.alarms import NAMED, Alarms, in_lines, tell_admins
from bot.usecases.anchors import Anchors
from engine.alarms import given_up

SETTINGS = (
    "Some settings cannot be used. Latchkey goes on without them: access ends on time. Mend them, "
    "and start it anew."
)
SECRETS = (
    "Some secrets cannot be read any more. Latchkey goes on with what it read last: access ends on "
    "time, until it is started anew or a password is changed. Mend this."
)
ADDRESSES = (
    "Nobody can reach Latchkey at some of its addresses. Access ends on time, and Latchkey goes on "
    "trying to listen there."
)

BARRED = (
    "Slack does not let the app do everything. What people should see or be told waits for it, and "
    "is tried again, without end. `latchkey doctor` looks at the token and at its scopes."
)
UNREACHABLE = (
    "Slack takes no message for some people. They count as nobody to ask; their cards come when it "
    "takes one again, which is tried every few minutes."
)

log = structlog.get_logger()


class Upkeep:
    """`faults`: what is wrong with settings, by their names. `unread`: the secrets among them that
    are read anew, each with why it cannot be now, or nothing. `missed`: the addresses that nothing
    can listen at. `follower`: None where the systems are given.
    """

    def __init__(
        self,
        services: Services,
        watch: Watch,
        alarms: Alarms,
        anchors: Anchors,
        follower: SystemsFollower | None,
        *,
        faults: Mapping[str, str],
        unread: Callable[[], Mapping[str, str]],
        missed: Callable[[], Sequence[str]],
    ) -> None:
        self._services = services
        self._watch = watch
        self._alarms = alarms
        self._anchors = anchors
        self._follower = follower
        self._faults = faults
        self._unread = unread
        self._missed = missed
        self._begun = False

    def look(self) -> None:
        """Have jobs run, files watched and systems followed; tell of what is out of order."""
        if not self._begun:
            self._begin()
            self._begun = True
        self._watch.check()
        self._tell("settings", SETTINGS, [*self._faults.values()])
        self._tell("secrets", SECRETS, self._unread_secrets())
        self._tell("addresses", ADDRESSES, self._missed())
        self._look_at_slack()
        if self._follower:
            self._follower.follow()

    def _look_at_slack(self) -> None:
        vitals = self._services.vitals
        barred = [why for name, why in vitals.faults().items() if name.startswith(f"{SLACK} ")]
        self._tell("slack", BARRED, sorted(barred))
        self._tell("unreachable", UNREACHABLE, reached.faults(self._services.company().directory))
        while not vitals.given_up.empty():
            said = given_up(*vitals.given_up.get(), self._services.clock.now())
            tell_admins(self._services, said.key, said.sentence)

    def _unread_secrets(self) -> Sequence[str]:
        faults = self._services.vitals.faults
        in_file = "" if ENV_FILE in self._faults else env_fault()
        for name, fault in {f"{SECRET_FAULT}s in {ENV_FILE}": in_file, **self._settings()}.items():
            if fault:
                faults.set(name, fault)
            else:
                faults.clear(name)
        return [why for named, why in faults().items() if named.startswith(SECRET_FAULT)]

    def _settings(self) -> Mapping[str, str]:
        return {
            f"{SECRET_FAULT} {name}": f"{name} cannot be read any more: {fault}" if fault else ""
            for name, fault in self._unread().items()
        }

    def _tell(self, what: str, sentence: str, faults: Sequence[str]) -> None:
        if faults:
            # Said again is what is named, and not how many more there are.
            self._alarms.tell(what, in_lines(sentence, faults), in_lines("", faults[:NAMED]))
        else:
            self._alarms.well(what)

    def _begin(self) -> None:
        """Begin what may have to wait for rows that others hold locked: the duty does not."""
        whose.begin(self._services)
        plan.everything(self._services)
        for said in unknown(references(systems.connections(self._services))):
            log.warning("a variable that nothing reads", said=said)
        self._anchors.note()
