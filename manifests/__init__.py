"""The company as files: people, administrators, connected systems, access flows.

`load` reads a folder and returns engine values, or raises with all that is wrong in it at once.
`revision_document` is the way back: a flow as flows.yaml writes it.
"""

from manifests.company import (
    BadManifestsError,
    FlowManifest,
    IntegrationManifest,
    Manifests,
    files,
    load,
)
from manifests.flows import flow_schema, revision_document
from manifests.marked_yaml import DocumentFault

__all__ = [
    "BadManifestsError",
    "DocumentFault",
    "FlowManifest",
    "IntegrationManifest",
    "Manifests",
    "files",
    "flow_schema",
    "load",
    "revision_document",
]
