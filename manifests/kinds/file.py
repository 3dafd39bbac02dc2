"""A system that no connector knows: what it has is listed in files."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from engine.inventory import Principal
from manifests import listings
from manifests.kind import FoundSettings, Kind
from manifests.parts import Ours, Words, shown

__all__ = ["KIND"]

_FILE = re.compile(r"[^./\\][^/\\]*\.(yaml|csv)")


def _plain(names: list[str]) -> list[str]:
    for name in names:
        if not _FILE.fullmatch(name):
            raise ValueError(
                f"{shown(name)} will not do: name a file of {listings.FOLDER}/ beside "
                "integrations.yaml, such as cloud.yaml or cloud.csv."
            )
    return names


class FilesDocument(Ours):
    files: Annotated[Words, AfterValidator(_plain)]


class ListedSettings(Ours):
    """What was found in the files."""

    resources: list[dict[str, Any]]
    permissions: list[dict[str, Any]] = Field(default_factory=list[dict[str, Any]])
    accounts: dict[str, Principal] = Field(default_factory=dict[str, Principal])


def _find(folder: Path, system: str, written: FilesDocument) -> FoundSettings:
    return listings.find(folder, system, written.files)


KIND = Kind(
    connector="engine.connectors.listed:Listed",
    settings=ListedSettings,
    secrets=(),
    types=frozenset(),  # those that are listed
    permissions=frozenset(),
    page="files.md",
    written=FilesDocument,
    find=_find,
)
