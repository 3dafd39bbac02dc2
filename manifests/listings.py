"""Things and permissions of a system that are listed in files: inventory/*.yaml and *.csv."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, ValidationError

from engine.inventory import Principal
from manifests.aws import Policy
from manifests.kind import FoundSettings
from manifests.marked_yaml import Document, DocumentFault, Place, is_clean, read, read_text
from manifests.parts import ONE_LINE, Name, OneLine, Ours, Words, faults_of, nearest, shown

__all__ = ["FOLDER", "MOST_RESOURCES", "SUFFIXES", "find", "listing_schema"]

FOLDER = "inventory"  # within that of the manifests
SUFFIXES = frozenset({".yaml", ".csv"})
MOST_RESOURCES = 5000  # of one system: all of them are one value in the database

_Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500), ONE_LINE
]
_Score = Annotated[int, Field(ge=1, le=10)]
_Tags = dict[_Text, Words]


class PermissionDocument(Ours):
    name: Name | None = None
    risk: _Score | None = None
    tags: _Tags = Field(default_factory=dict[str, list[str]])
    context: _Tags = Field(default_factory=dict[str, list[str]])
    policy: Policy | None = None


class ResourceDocument(Ours):
    """`path` left out is the name; `source_id`, the system's own, left out is type and path, and
    what comes back under these is another thing.

    `policies` are by the permission, where they are other than its own.
    """

    type: Name
    name: _Text
    path: _Text | None = None
    source_id: _Text | None = None
    risk: _Score | None = None
    owner: OneLine | None = None
    permissions: Words
    tags: _Tags = Field(default_factory=dict[str, list[str]])
    context: _Tags = Field(default_factory=dict[str, list[str]])
    account: _Text | None = None
    policies: dict[_Text, Policy] = Field(default_factory=dict[str, str])


class ListingDocument(Ours):
    """`permissions` by their ids, where there is more to say of them; `accounts` of AWS."""

    accounts: dict[_Text, Principal] = Field(default_factory=dict[str, Principal])
    permissions: dict[_Text, PermissionDocument | None] = Field(
        default_factory=dict[str, PermissionDocument | None]
    )
    resources: list[Any] = Field(default_factory=list[Any])


def listing_schema() -> dict[str, Any]:
    """Return the JSON Schema of inventory/*.yaml, as published in manifests/inventory.schema.json.

    Things are read one by one, so that a fault of one hides none of another.
    """
    template = "#/$defs/{model}"
    schema = ListingDocument.model_json_schema(ref_template=template)
    thing = ResourceDocument.model_json_schema(ref_template=template)
    definitions = schema.pop("$defs", {}) | thing.pop("$defs", {}) | {"ResourceDocument": thing}
    schema["properties"]["resources"]["items"] = {"$ref": template.format(model="ResourceDocument")}
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **schema, "title": "A system's things", "$defs": definitions}


def find(folder: Path, system: str, names: list[str]) -> FoundSettings:
    """Read the files that list one system, which is called so."""
    reading = _Reading(system)
    for name in names:
        reading.file(folder / FOLDER / name, f"{FOLDER}/{name}")
    return replace(reading.found(), files=frozenset(f"{FOLDER}/{name}" for name in names))


@dataclass(slots=True)
class _Reading:
    system: str
    faults: list[DocumentFault] = field(default_factory=list[DocumentFault])
    permissions: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    resources: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    used: dict[str, tuple[Document, Place]] = field(
        default_factory=dict[str, tuple[Document, Place]]
    )
    places: dict[str, str] = field(default_factory=dict[str, str])
    accounts: dict[str, str] = field(default_factory=dict[str, str])
    put: dict[str, tuple[Document, Place]] = field(
        default_factory=dict[str, tuple[Document, Place]]
    )

    def file(self, path: Path, name: str) -> None:
        documents, faults = read_csv(path, name) if path.suffix == ".csv" else read(path, name)
        self.faults += faults
        for document in documents:
            self.document(document)

    def document(self, document: Document) -> None:
        try:
            listed = ListingDocument.model_validate(document.data)
        except ValidationError as error:
            self.refuse(document, (), error, ListingDocument)
            return
        for account, principal in listed.accounts.items():
            if self.once(document, ("accounts", account), f"the account {account}"):
                self.accounts[account] = principal.value
        for id_, said in listed.permissions.items():
            if self.once(document, ("permissions", id_), f"the permission {id_}"):
                more = said.model_dump(exclude_defaults=True) if said else {}
                name = more.get("name", id_)
                self.once(document, ("permissions", id_), f"the name {name}", name.casefold())
                self.permissions[id_] = {"id": id_, **more}
        for number, item in enumerate(listed.resources):
            self.resource(document, ("resources", number), item)

    def resource(self, document: Document, place: Place, item: object) -> None:
        try:
            said = ResourceDocument.model_validate(item)
        except ValidationError as error:
            self.refuse(document, place, error, ResourceDocument)
            return
        path = said.path or said.name
        source = said.source_id or f"{said.type}/{path}"
        if self.once(document, place, f"the source id {source}"):
            whole = said.model_dump(exclude_defaults=True) | {"path": path, "source_id": source}
            whole |= {} if said.source_id else {"named": True}
            self.resources[source] = whole
            self.put[source] = document, place
        for id_ in said.policies.keys() - {*said.permissions}:
            near = nearest(id_, said.permissions)
            sentence = f"{shown(id_)} cannot be had on it: see its `permissions`. {near}"
            self.faults.append(document.fault((*place, "policies", id_), sentence))
        for at, id_ in enumerate(said.permissions):
            self.used.setdefault(id_, (document, (*place, "permissions", at)))

    def once(self, document: Document, place: Place, what: str, key: str = "") -> bool:
        """Tell whether it stands there for the first time. `key`: by what it is told apart."""
        key = key or what
        if key in self.places:
            sentence = f"Here is {shown(what)} again: {self.places[key]} has it. Keep one."
            self.faults.append(document.fault(place, sentence))
            return False
        self.places[key] = document.where(place)
        return True

    def refuse(
        self, document: Document, place: Place, error: ValidationError, model: type[Ours]
    ) -> None:
        for at, sentence in faults_of(error, model):
            self.faults.append(document.fault((*place, *at), sentence))

    def found(self) -> FoundSettings:
        if self.permissions:  # else they are called by their ids
            for id_ in self.used.keys() - self.permissions.keys():
                document, place = self.used[id_]
                near = nearest(id_, self.permissions)
                sentence = f"There is no permission {shown(id_)} among `permissions`. {near}"
                self.faults.append(document.fault(place, sentence))
        self.faults += self.without_account()
        if len(self.resources) > MOST_RESOURCES:
            document, place = [*self.put.values()][MOST_RESOURCES]
            sentence = (
                f"{len(self.resources):,} resources are listed for {shown(self.system)}. At most "
                f"{MOST_RESOURCES:,}: list the others, from here on, under another integration."
            )
            self.faults.append(document.fault(place, sentence))
        called = {id_: one.get("name", id_) for id_, one in self.permissions.items()}
        return FoundSettings(
            {
                "resources": list(self.resources.values()),
                "permissions": list(self.permissions.values()),
                "accounts": self.accounts,
            },
            frozenset(one["type"] for one in self.resources.values()),
            frozenset(called.get(id_, id_) for id_ in self.used),
            self.faults,
        )

    def without_account(self) -> Iterator[DocumentFault]:
        """Find what is given by policies in an account of which nothing is known."""
        given = {id_ for id_, said in self.permissions.items() if "policy" in said}
        for source, said in self.resources.items():
            account = said.get("account")
            document, place = self.put[source]
            if account is not None and account not in self.accounts:
                sentence = (
                    f"There is no account {shown(account)} among `accounts`. "
                    f"{nearest(account, self.accounts)}"
                )
                yield document.fault((*place, "account"), sentence)
            elif account is None and ("policies" in said or given & {*said["permissions"]}):
                sentence = "It is given by a policy: say in which `account` of AWS."
                yield document.fault(place, sentence)


# --- CSV -----------------------------------------------------------------------------------------

_PLAIN = ("type", "name", "path", "source_id", "risk", "owner", "permissions", "account")
_KEYED = {"tag": "tags", "context": "context", "policy": "policies"}  # as in tag:env
_APART = ";"  # several values
_SEVERAL = {"permissions", *_KEYED.values()}


def read_csv(path: Path, name: str) -> tuple[list[Document], list[DocumentFault]]:
    """Read a table as if it were YAML: a row for each resource, below one that names the columns.

    A cell may hold several values, with `;` between them; one that is empty says nothing.
    """
    text = read_text(path, name)
    if isinstance(text, DocumentFault):
        return [], [text]
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    listed, begins = list[tuple[int, list[str]]](), 1  # a cell may have several lines
    try:
        for row in rows:
            if any(cell.strip() for cell in row):
                listed.append((begins, row))
            begins = rows.line_num + 1
    except csv.Error as error:
        sentence = f"This is no CSV: {error}. Mend the quotes of this line, or of one before it."
        return [], [DocumentFault(name, rows.line_num, (), sentence)]
    if not listed:
        return [], [DocumentFault(name, 0, (), "The file is empty.")]
    (line, head), *body = listed
    columns = [":".join(part.strip() for part in column.split(":", 1)) for column in head]
    faults = [DocumentFault(name, line, (), sentence) for sentence in _wrong_columns(columns)]
    for at, row in body:
        if len(row) > len(columns):
            said = f"{len(row)} cells stand here, under {len(columns)} columns."
            faults.append(DocumentFault(name, at, (), said))
        if not all(map(is_clean, row)):
            said = "A control character stands in this row. Take it out."
            faults.append(DocumentFault(name, at, (), said))
    if faults:
        return [], faults
    lines: dict[Place, int] = {(): line}
    lines |= {("resources", number): at for number, (at, _) in enumerate(body)}
    resources = [_row(columns, row) for _, row in body]
    return [Document(name, {"resources": resources}, lines)], []


def _wrong_columns(columns: list[str]) -> Iterator[str]:
    if len(columns) == 1 and _APART in columns[0]:
        yield "Write commas between columns; `;` stands between several values of one cell."
        return
    for number, column in enumerate(columns):
        part, colon, key = column.partition(":")
        if column in columns[:number]:
            yield f"The column {shown(column)} is here twice. Keep one."
        elif not (column in _PLAIN or (colon and part in _KEYED and key)):
            known = [*_PLAIN, "tag:KEY", "context:KEY", "policy:PERMISSION"]
            yield f"There is no column {shown(column)}. {nearest(column, known)}"


def _row(columns: list[str], cells: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for column, cell in zip(columns, cells, strict=False):
        part, _, key = column.partition(":")
        values = [value.strip() for value in cell.split(_APART) if value.strip()]
        if not values:
            continue
        if part in _KEYED:
            said = cell.strip() if part == "policy" else values
            found.setdefault(_KEYED[part], {})[key] = said
        else:
            found[part] = values if part in _SEVERAL else cell.strip()
    return found
