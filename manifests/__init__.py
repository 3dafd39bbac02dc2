"""The company as files: people, administrators, connected systems, on-call, access flows.

`load` reads a folder and returns engine values, or raises with all that is wrong in it at once.
`revision_document` is the way back: a flow as flows.yaml writes it.
"""

from manifests.company import (
    ON_CALL_FILE,
    PEOPLE_FILE,
    BadManifestsError,
    FlowManifest,
    IntegrationManifest,
    Manifests,
    files,
    load,
)
from manifests.flows import flow_schema, revision_document
from manifests.listings import listing_schema
from manifests.marked_yaml import DocumentFault
from manifests.objects import object_schema

__all__ = [
    "ON_CALL_FILE",
    "PEOPLE_FILE",
    "BadManifestsError",
    "DocumentFault",
    "FlowManifest",
    "IntegrationManifest",
    "Manifests",
    "files",
    "flow_schema",
    "listing_schema",
    "load",
    "object_schema",
    "revision_document",
]
