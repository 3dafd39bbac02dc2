"""The kinds of systems that can be connected: whatever is to be known of one stands in its KIND."""

from collections.abc import Mapping

from manifests.kind import Kind
from manifests.kinds import file, postgresql

__all__ = ["KINDS"]

KINDS: Mapping[str, Kind] = {"postgresql": postgresql.KIND, "file": file.KIND}
