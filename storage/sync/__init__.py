"""Takes in what other systems say, a module for each subject.

Each takes a complete reading. What is missing from it is gone, and the requests that depend on it
wake in the same transaction.
"""

from storage.sync.access_flows import FLOWS_AT_ONCE, flow_steps, flows
from storage.sync.administration import administrators, pause, risk_steps, risks, tell_admins
from storage.sync.channels import channel
from storage.sync.delegations import lend, take_back
from storage.sync.directory import (
    AT_ONCE,
    GROUPS_AT_ONCE,
    KNOWN,
    Intake,
    begin,
    broken_off,
    compare,
    end,
    epoch,
    is_so,
    known_person,
    people,
    wake,
)
from storage.sync.objects import OBJECTS_AT_ONCE, object_steps, objects
from storage.sync.resources import (
    ROWS_AT_ONCE,
    Discovery,
    compare_inventory,
    differences,
    inventory,
)
from storage.sync.sources import failing, schedules
from storage.sync.step import SyncStep
from storage.sync.systems import (
    SYSTEMS_AT_ONCE,
    belongs,
    integration_steps,
    integrations,
    server_of,
)
from storage.sync.ties import confirm, place, reach, regrade, suspend, tie, void
from storage.sync.touching import Touching, changed

__all__ = [
    "AT_ONCE",
    "FLOWS_AT_ONCE",
    "GROUPS_AT_ONCE",
    "KNOWN",
    "OBJECTS_AT_ONCE",
    "ROWS_AT_ONCE",
    "SYSTEMS_AT_ONCE",
    "Discovery",
    "Intake",
    "SyncStep",
    "Touching",
    "administrators",
    "begin",
    "belongs",
    "broken_off",
    "changed",
    "channel",
    "compare",
    "compare_inventory",
    "confirm",
    "differences",
    "end",
    "epoch",
    "failing",
    "flow_steps",
    "flows",
    "integration_steps",
    "integrations",
    "inventory",
    "is_so",
    "known_person",
    "lend",
    "object_steps",
    "objects",
    "pause",
    "people",
    "place",
    "reach",
    "regrade",
    "risk_steps",
    "risks",
    "schedules",
    "server_of",
    "suspend",
    "take_back",
    "tell_admins",
    "tie",
    "void",
    "wake",
]
