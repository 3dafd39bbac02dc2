"""Reads the folder: people, company, on_call and integrations .yaml, with what the last names in
inventory/; scopes, bundles and spaces .yaml; and flows.yaml or flows/*.yaml.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    PlainValidator,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    create_model,
)

from engine.conditions import select
from engine.directory import (
    ON_CALL,
    SLACK,
    Directory,
    Group,
    GroupId,
    Person,
    PersonId,
    PersonStatus,
    address,
)
from engine.errors import LatchkeyError
from engine.flow import Revision
from engine.inventory import OWNER_TAG, IntegrationId
from engine.on_call import Schedule
from engine.request import OPERATOR, SYSTEM
from engine.risk import Risks
from engine.targets import (
    Bundle,
    ByBundle,
    ByScope,
    Object,
    Objects,
    Scope,
    Space,
    Target,
    circle_of,
    key_of,
)
from manifests.conditions import RESERVED, Administrators
from manifests.flows import FlowDocument
from manifests.kind import Kind
from manifests.kinds import KINDS
from manifests.listings import FOLDER, SUFFIXES
from manifests.marked_yaml import Document, DocumentFault, Place, read
from manifests.objects import (
    GLOBAL,
    BundleDocument,
    ScopeDocument,
    SpaceDocument,
    find_slice,
    find_space,
    full_name,
)
from manifests.on_call import ScheduleDocument
from manifests.parts import (
    ONE_LINE,
    Name,
    OneLine,
    Ours,
    Vocabulary,
    Words,
    faults_of,
    find_group,
    find_person,
    house,
    nearest,
    shown,
)
from manifests.risks import RisksDocument
from manifests.targets import shared
from manifests.targets import whole as named_whole

PEOPLE_FILE, ON_CALL_FILE = "people.yaml", "on_call.yaml"
SCOPES_FILE, BUNDLES_FILE, SPACES_FILE = "scopes.yaml", "bundles.yaml", "spaces.yaml"
_COMPANY = (PEOPLE_FILE, ON_CALL_FILE, "company.yaml", "integrations.yaml")
_OBJECTS = (SCOPES_FILE, BUNDLES_FILE, SPACES_FILE)
_NAMES = (*_COMPANY, *_OBJECTS, "flows.yaml")
_OF_YAML = frozenset({".yaml", ".yml"})

F = TypeVar("F")
M = TypeVar("M", bound=BaseModel)
Naming = Callable[[Target], Target]  # gives a target the whole name of what it names

_ID = re.compile(r"[A-Za-z0-9._@+-]{1,64}")
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_EMAIL = re.compile(r"[^\s@]{1,64}@[^\s@]{1,189}")


@dataclass(frozen=True, slots=True)
class IntegrationManifest:
    """One connected system. A secret in its settings is a reference, `env:NAME` or `file:PATH`."""

    id: IntegrationId
    name: str
    kind: str
    settings: dict[str, Any]
    owner: str = ""  # a person's or a group's id
    owner_tag: str = OWNER_TAG


@dataclass(frozen=True, slots=True)
class FlowManifest:
    revision: Revision
    active: bool


@dataclass(frozen=True, slots=True)
class Manifests:
    people: tuple[Person, ...]
    groups: tuple[Group, ...]
    admins: frozenset[PersonId]
    integrations: tuple[IntegrationManifest, ...]
    flows: tuple[FlowManifest, ...]
    schedules: tuple[Schedule, ...] = ()
    risks: Risks = field(default_factory=Risks)
    objects: tuple[Object, ...] = ()

    @property
    def directory(self) -> Directory:
        return Directory.of(self.people, self.groups).answering(self.schedules, {})


class BadManifestsError(LatchkeyError):
    """The files cannot be used. The text has every fault with its cure, one a line."""

    def __init__(self, faults: Sequence[DocumentFault]) -> None:
        self.faults = tuple(sorted(faults, key=lambda f: (f.file, f.line)))
        super().__init__("\n".join(str(fault) for fault in self.faults))


def load(folder: Path) -> Manifests:
    """Read the folder. Raises BadManifestsError with all that is wrong, in every file."""
    try:
        return _load(folder)
    except OSError as fault:
        sentence = f"The folder cannot be read: {fault.strerror}."
        raise BadManifestsError([DocumentFault(str(folder), 0, (), sentence)]) from None


def files(folder: Path) -> list[str]:
    """Name all files that `load` reads there, whether they are there or not. Raises OSError."""
    return [*_COMPANY, *_listings(folder), *_OBJECTS, *_flow_files(folder)]


def _listings(folder: Path) -> list[str]:
    found = sorted(path for path in (folder / FOLDER).glob("*") if path.suffix in SUFFIXES)
    return [f"{FOLDER}/{path.name}" for path in found]


def _flow_files(folder: Path) -> list[str]:
    found = sorted((folder / "flows").glob("*.yaml"))
    names = [f"flows/{path.name}" for path in found]
    if not names or (folder / "flows.yaml").exists():
        names = ["flows.yaml", *names]
    return names


def _misnamed(folder: Path) -> Iterator[DocumentFault]:
    """Find files that were meant to be read, as far as their names tell: else they do nothing."""
    known = {Path(name).stem: name for name in _NAMES}
    for path in sorted(folder.glob("*")):
        near = get_close_matches(path.stem.casefold(), known, n=1, cutoff=0.8)
        if path.suffix.casefold() in _OF_YAML and path.name not in _NAMES and near:
            sentence = f"This file is not read. Call it {known[near[0]]}, or something else."
            yield DocumentFault(path.name, 0, (), sentence)
    for path in sorted((folder / "flows").glob("*.[yY][mM][lL]")):
        sentence = "This file is not read: the names of files of flows end with .yaml."
        yield DocumentFault(f"flows/{path.name}", 0, (), sentence)


def _load(folder: Path) -> Manifests:
    if not folder.exists():
        sentence = "There is no such folder. LATCHKEY_MANIFESTS says where the files are."
        raise BadManifestsError([DocumentFault(str(folder), 0, (), sentence)])
    reading = _Reading(folder)
    people = reading.people()
    people_known, faults = not reading.faults, len(reading.faults)
    directory = Directory.of(people, reading.groups.values())
    schedules = reading.schedules(Vocabulary(directory, people_known=people_known))
    schedules_known, faults = len(reading.faults) == faults, len(reading.faults)
    integrations = reading.integrations(Vocabulary(directory, people_known=people_known))
    house = Vocabulary(
        directory.answering(schedules, {}),
        reading.kinds,
        people_known=people_known,
        systems_known=len(reading.faults) == faults,
        schedules_known=schedules_known,
    )
    admins, risks = reading.company(house)
    objects = reading.objects(house)
    flows = reading.flows(house, objects)
    if found := [*reading.faults, *_misnamed(folder)]:
        raise BadManifestsError(found)
    groups = tuple(reading.groups.values())
    return Manifests(people, groups, admins, integrations, flows, schedules, risks, tuple(objects))


# --- The documents -------------------------------------------------------------------------------


def _matching(pattern: re.Pattern[str], cure: str) -> AfterValidator:
    def check(text: str) -> str:
        if not pattern.fullmatch(text):
            raise ValueError(f"{shown(text)} will not do: {cure}.")
        return text

    return AfterValidator(check)


def _plain_address(text: str) -> str:
    """Refuse what looks like another letter, or like nothing: Slack has the plain one."""
    for place, letter in enumerate(text, 1):
        if not letter.isascii() and _is_disguised(letter):
            name = unicodedata.name(letter, "a character without a name").lower()
            raise ValueError(
                f"character {place} of {shown(text)} is U+{ord(letter):04X} ({name}), which no "
                "account in Slack has in its address. Write the plain letter, or leave it out."
            )
    return text


def _is_disguised(letter: str) -> bool:
    """Tell whether it is invisible, a mark on the letter before, or a form of another letter."""
    cases = {letter.upper(), letter.lower()[0]}
    return (
        unicodedata.category(letter)[0] in "CMZ"
        or unicodedata.normalize("NFKC", letter) != letter
        or any(len(case) == 1 and case.isascii() for case in cases)
    )


def _attribute(name: str) -> str:
    if name in RESERVED:
        raise ValueError(f"`{name}` means something of its own in conditions. Call it otherwise.")
    return name


def _nobody_elses(person: str) -> str:
    if person.casefold() in {OPERATOR, SYSTEM}:
        raise ValueError(f"{shown(person)} is Latchkey's own name for itself. Choose another id.")
    return person


def _free_source(source: str) -> str:
    if source == SLACK:
        raise ValueError("`slack` is the source of Slack's own user groups. Choose another name.")
    if source == ON_CALL:
        raise ValueError("`on_call` is the source of who is on call. Choose another name.")
    return source


def _owner(text: object, info: ValidationInfo) -> str:
    """Return the id of the person or the group that is named."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"Name a person or a group; found {shown(text)}.")
    known = house(info)
    for find in (find_person, find_group):
        with suppress(ValueError):
            return find(text.strip(), known.directory)
    if not known.people_known:
        return text
    words = (p.email for p in known.directory.people.values() if "@" in text)
    near = nearest(text, [*words, *(group.name for group in known.directory.groups.values())])
    raise ValueError(f"{shown(text)} is no one person, by address or id, and no group. {near}")


_Id = Annotated[OneLine, _matching(_ID, "an id is 1 to 64 letters, digits and . _ @ + -")]
_Key = Annotated[OneLine, _matching(_KEY, "a key is up to 40 small letters, digits and . _ -")]
_Email = Annotated[
    OneLine,
    _matching(_EMAIL, "an address is name@company.example"),
    AfterValidator(_plain_address),
]
_PersonName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200), ONE_LINE
]


class PersonDocument(Ours):
    id: Annotated[_Id, AfterValidator(_nobody_elses)]
    email: _Email
    name: _PersonName
    manager: OneLine | None = None
    groups: Words | None = None
    attributes: dict[Annotated[Name, AfterValidator(_attribute)], Words] = Field(
        default_factory=dict[str, list[str]]
    )
    status: PersonStatus = PersonStatus.ACTIVE
    guest: bool = False


class PeopleDocument(Ours):
    """One identity source. `groups` are key and name."""

    source: Annotated[_Key, AfterValidator(_free_source)] = "file"
    groups: dict[_Key, Name] = Field(default_factory=dict[str, str])
    people: list[Any]


class IntegrationDocument(Ours):
    """Its settings are those of its kind: see `_document_of`."""

    id: _Key
    name: Name
    kind: str
    owner: Annotated[str, PlainValidator(_owner)] = ""
    owner_tag: Name = OWNER_TAG
    settings: BaseModel


_ANY_OF: Any = Literal  # which the types take for a constant


def _document(settings: object) -> type[IntegrationDocument]:
    kinds = _ANY_OF[tuple(KINDS)]
    fields: dict[str, Any] = {"kind": (kinds, ...), "settings": (settings, ...)}
    return create_model("IntegrationDocument", __base__=IntegrationDocument, **fields)


_DOCUMENTS = {name: _document(kind.written or kind.settings) for name, kind in KINDS.items()}
# Where there is one kind, it is meant; of several no other can judge the settings.
_OF_NO_KIND = next(iter(_DOCUMENTS.values())) if len(_DOCUMENTS) == 1 else _document(Any)


def _document_of(item: object) -> type[IntegrationDocument]:
    """Return the document of the kind that is named."""
    named = item.get("kind") if isinstance(item, dict) else None
    return _DOCUMENTS.get(named, _OF_NO_KIND) if isinstance(named, str) else _OF_NO_KIND


class IntegrationsDocument(Ours):
    integrations: list[Any]


class CompanyDocument(Ours):
    admins: Administrators
    risks: RisksDocument = Field(default_factory=RisksDocument)


class OnCallDocument(Ours):
    schedules: list[Any]


class FlowsDocument(Ours):
    flows: list[Any]


class ScopesDocument(Ours):
    scopes: list[Any]


class BundlesDocument(Ours):
    bundles: list[Any]


class SpacesDocument(Ours):
    spaces: list[Any]


# --- The reading ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Listed:
    """A person, and where they stand."""

    document: Document
    place: Place
    source: str
    person: PersonDocument


def _each(document: Document, key: str) -> Iterator[tuple[Place, object]]:
    """Yield the items of a list, and where they stand."""
    items = document.data.get(key) if isinstance(document.data, dict) else None
    for i, item in enumerate(items if isinstance(items, list) else ()):
        yield (key, i), item


def _said(written: object) -> dict[str, object]:
    """Return what stands under its keys, if it has keys."""
    return written if isinstance(written, dict) else {}


def _text(written: Mapping[str, object], key: str) -> str:
    """Return what stands there if it is a text; else nothing."""
    value = written.get(key)
    return value.strip() if isinstance(value, str) else ""


def _last(name: str) -> str:
    """Return the key of a name without the space before it."""
    return key_of(name).rpartition("/")[2]


@dataclass(slots=True)
class _Reading:
    folder: Path
    faults: list[DocumentFault] = field(default_factory=list[DocumentFault])
    groups: dict[GroupId, Group] = field(default_factory=dict[GroupId, Group])
    kinds: dict[str, Kind] = field(default_factory=dict[str, Kind])  # by a system's id
    objects_known: bool = True
    names_known: bool = True  # of all scopes, bundles and spaces, also of faulty ones
    names: set[str] = field(default_factory=set[str])  # of those, without their spaces
    named: dict[str, list[tuple[Document, Place, str]]] = field(default_factory=dict)  # by file
    faulty: dict[str, list[tuple[Document, Place, dict[str, object]]]] = field(
        default_factory=dict
    )  # those of `named` that say more than can be read
    listings: set[str] = field(default_factory=set[str])  # that an integration names

    def people(self) -> tuple[Person, ...]:
        listed: list[_Listed] = []
        taken: dict[str, str] = {}
        for document in self._documents(PEOPLE_FILE):
            top = self._check(PeopleDocument, document)
            if top:
                self._take_groups(document, top)
            source = top.source if top else ""
            for place, person in self._items(document, "people", PersonDocument):
                names = {"email": person.email, "id": person.id}
                # Who has left may stand there beside who has the address now.
                left = person.status is PersonStatus.INACTIVE
                if left or address(person.id) == address(person.email):
                    del names["email" if left else "id"]
                free = [
                    self._once(document, (*place, k), v, taken, address) for k, v in names.items()
                ]
                if all(free):
                    listed.append(_Listed(document, place, source, person))
        return self._related(listed)

    def schedules(self, house: Vocabulary) -> tuple[Schedule, ...]:
        found: list[Schedule] = []
        names: dict[str, str] = {}
        there = (self.folder / ON_CALL_FILE).exists()
        for document in self._documents(ON_CALL_FILE) if there else ():
            self._check(OnCallDocument, document)
            for place, schedule in self._items(document, "schedules", ScheduleDocument, house):
                self._once(document, (*place, "name"), schedule.name, names)
                found.append(schedule.schedule())
        return tuple(found)

    def integrations(self, house: Vocabulary) -> tuple[IntegrationManifest, ...]:
        found: list[IntegrationManifest] = []
        ids: dict[str, str] = {}
        names: dict[str, str] = {}
        faults = len(self.faults)
        for document in self._documents("integrations.yaml"):
            self._check(IntegrationsDocument, document)
            for place, written in _each(document, "integrations"):
                item = self._check(
                    _document_of(written), document, house, place=place, data=written
                )
                if item is None:
                    continue
                self._once(document, (*place, "id"), item.id, ids)
                self._once(document, (*place, "name"), item.name, names)
                id_ = IntegrationId(item.id)
                settings = self._settings(id_, item)
                found.append(
                    IntegrationManifest(
                        id_, item.name, item.kind, settings, item.owner, item.owner_tag
                    )
                )
        if len(self.faults) == faults:
            self._check_listings()
        return tuple(found)

    def _check_listings(self) -> None:
        for name in _listings(self.folder):
            if name not in self.listings:
                sentence = "No integration names this file. Name it under `files`, or remove it."
                self.faults.append(DocumentFault(name, 0, (), sentence))

    def _settings(self, id_: IntegrationId, item: IntegrationDocument) -> dict[str, Any]:
        """Return the settings of a system, and take in what can be had there."""
        kind = KINDS[item.kind]
        self.kinds[id_] = kind
        if kind.find is None:
            return item.settings.model_dump(exclude_none=True)
        listed = kind.find(self.folder, item.name, item.settings)
        self.faults += listed.faults
        self.listings |= listed.files
        self.kinds[id_] = replace(kind, types=listed.types, permissions=listed.permissions)
        return listed.settings

    def company(self, house: Vocabulary) -> tuple[frozenset[PersonId], Risks]:
        """Return who administers, and what they say of risks: of several documents the last."""
        admins: set[PersonId] = set()
        risks = Risks()
        for document in self._documents("company.yaml"):
            company = self._check(CompanyDocument, document, house)
            if company:
                chosen = select(company.admins, house.directory)
                admins |= {person.id for person in chosen if person.may_ask}
                risks = company.risks.risks() if "risks" in company.model_fields_set else risks
                if not admins and house.people_known:
                    self._add(document, ("admins",), "This selects nobody who is active.")
        return frozenset(admins), risks

    def objects(self, house: Vocabulary) -> Objects:
        """Return scopes, bundles and spaces, each with the whole names of what it names."""
        faults = len(self.faults)
        areas = self._some(SPACES_FILE, SpacesDocument, "spaces", SpaceDocument, house)
        listed = self._some(SCOPES_FILE, ScopesDocument, "scopes", ScopeDocument, house)
        bundled = self._some(BUNDLES_FILE, BundlesDocument, "bundles", BundleDocument, house)
        self.objects_known = len(self.faults) == faults
        for named in self.named.values():
            taken: dict[str, str] = {}
            for document, place, name in named:
                self._once(document, (*place, "name"), name, taken)
        spaces = {key_of(area.name): area.space() for *_, area in areas}
        scopes: dict[str, Scope] = {}
        for document, place, scope in listed:
            of = self._space(document, place, scope.space, spaces)
            made = scope.scope(of)
            scopes[key_of(made.name)] = made
        for document, place, area in areas:
            found = [
                self._found(document, (*place, "slice", i), name, find, name)
                for i, name in enumerate(area.slice)
                for find in (partial(find_slice, name, scopes),)
            ]
            spaces[key_of(area.name)] = replace(area.space(), slice=tuple(found))
        return Objects(scopes, self._bundles(bundled, scopes, spaces), spaces)

    def _bundles(
        self,
        listed: Sequence[tuple[Document, Place, BundleDocument]],
        scopes: Mapping[str, Scope],
        spaces: Mapping[str, Space],
    ) -> dict[str, Bundle]:
        written = list[tuple[Document, Place, Bundle]]()
        for document, place, bundle in listed:
            of = self._space(document, place, bundle.space, spaces)
            made = bundle.bundle(of, tuple(target.target() for target in bundle.targets))
            written.append((document, place, made))
        faulty = list[tuple[Document, Place, dict[str, object], Bundle]]()
        for document, place, said in self.faulty.get(BUNDLES_FILE, ()):
            of = self._space(document, place, _text(said, "space") or GLOBAL, spaces)
            made = Bundle(full_name(_text(said, "name"), of), (), of)
            faulty.append((document, place, said, made))
        every = [*(made for *_, made in faulty), *(made for *_, made in written)]
        objects = Objects(scopes, {key_of(made.name): made for made in every}, spaces)

        def name_in(space: str) -> Naming:
            return partial(named_whole, objects=objects, space=space) if space else of_all

        of_all = partial(shared, objects=objects)
        found = {
            key_of(made.name): replace(
                made, targets=self._targets(document, place, made.targets, name_in(made.space))
            )
            for document, place, made in written
        }
        for document, place, said, made in faulty:
            targets = self._named_by(document, place, said, name_in(made.space))
            found.setdefault(key_of(made.name), replace(made, targets=targets))
        objects, seen = replace(objects, bundles=found), set[str]()
        for document, place, made in (*written, *((d, p, made) for d, p, _, made in faulty)):
            circle = circle_of(found[key_of(made.name)], objects)
            if circle and not seen & {*circle}:
                seen.update(circle)
                sentence = f"A bundle cannot be in itself: {' → '.join(circle)}."
                self._add(document, (*place, "targets"), sentence)
        return found

    def _some(
        self, file: str, whole: type[BaseModel], key: str, model: type[M], house: Vocabulary
    ) -> list[tuple[Document, Place, M]]:
        """Return the sound items of a file, if it is there, and where they stand."""
        found: list[tuple[Document, Place, M]] = []
        faults = len(self.faults)
        there = self._documents(file) if (self.folder / file).exists() else []
        for document in there:
            self._check(whole, document)
        self.names_known &= len(self.faults) == faults
        for document in there:
            for place, written in _each(document, key):
                said = _said(written)
                name, space = _text(said, "name"), _text(said, "space") or GLOBAL
                self.names_known &= bool(name)
                self.names.add(_last(name))
                if name:
                    whole_name = full_name(name, "" if key_of(space) == GLOBAL else space)
                    self.named.setdefault(file, []).append((document, place, whole_name))
            sound = dict(self._items(document, key, model, house))
            found += ((document, place, item) for place, item in sound.items())
            self.faulty.setdefault(file, []).extend(
                (document, place, _said(written))
                for place, written in _each(document, key)
                if place not in sound and _text(_said(written), "name")
            )
        return found

    def _space(
        self, document: Document, place: Place, name: str, spaces: Mapping[str, Space]
    ) -> str:
        find = partial(find_space, name, spaces)
        return self._found(document, (*place, "space"), name, find, "")

    def _targets(
        self,
        document: Document,
        place: Place,
        targets: Sequence[Target],
        naming: Naming,
    ) -> tuple[Target, ...]:
        """Return targets with the whole names of what they name."""
        found = list(targets)
        for i, target in enumerate(targets):
            match target:
                case ByBundle(name):
                    key = "bundle"
                case ByScope(name):
                    key = "scope"
                case _:
                    continue
            find = partial(naming, target)
            found[i] = self._found(document, (*place, "targets", i, key), name, find, found[i])
        return tuple(found)

    def _found(
        self, document: Document, place: Place, name: str, find: Callable[[], F], instead: F
    ) -> F:
        """Return what is found; where it is not, say so, unless it may be what is faulty."""
        try:
            return find()
        except ValueError as fault:
            unheard_of = self.names_known and _last(name) not in self.names
            if self.objects_known or unheard_of:
                self._add(document, place, str(fault))
            return instead

    def flows(self, house: Vocabulary, objects: Objects) -> tuple[FlowManifest, ...]:
        found: list[FlowManifest] = []
        names: dict[str, str] = {}
        names_of_files = _flow_files(self.folder)
        for document in (d for name in names_of_files for d in self._documents(name)):
            self._check(FlowsDocument, document)
            for place, written in _each(document, "flows"):
                flow = self._check(FlowDocument, document, house, place, written)
                said = _said(written)
                of = flow.space if flow else _text(said, "space") or GLOBAL
                space = self._space(document, place, of, objects.spaces)
                naming = partial(named_whole, objects=objects, space=space)
                if flow is None:
                    if name := _text(said, "name"):
                        self._once(document, (*place, "name"), full_name(name, space), names)
                    self._named_by(document, place, said, naming)
                    continue
                made = flow.revision(space)
                self._once(document, (*place, "name"), made.name, names)
                targets = self._targets(document, place, made.targets, naming)
                found.append(FlowManifest(replace(made, targets=targets), flow.active))
        return tuple(found)

    def _named_by(
        self, document: Document, place: Place, said: Mapping[str, object], naming: Naming
    ) -> tuple[Target, ...]:
        """Look up what a faulty one names all the same, so that its faults are said at once."""
        found: list[Target] = []
        targets = said.get("targets")
        for i, target in enumerate(targets if isinstance(targets, list) else ()):
            for key, by in (("bundle", ByBundle), ("scope", ByScope)):
                if named := _text(_said(target), key):
                    wanted: Target = by(named)
                    find, at = partial(naming, wanted), (*place, "targets", i, key)
                    found.append(self._found(document, at, named, find, wanted))
        return tuple(found)

    # --- People and groups --------------------------------------------------------------------

    def _take_groups(self, document: Document, source: PeopleDocument) -> None:
        names: dict[str, str] = {}
        for key, name in source.groups.items():
            id_ = GroupId(f"{source.source}:{key}")
            if id_ in self.groups:
                self._add(document, ("groups", key), f"The group {id_} is here twice. Keep one.")
            self._once(document, ("groups", key), name, names)
            self.groups[id_] = Group(id_, source.source, name)

    def _related(self, listed: Sequence[_Listed]) -> tuple[Person, ...]:
        """Return the people with their groups and managers."""
        known = not self.faults
        people = {entry.person.id: self._person(entry, known=known) for entry in listed}
        directory = Directory.of(people.values())
        managers: dict[PersonId, PersonId] = {}
        for entry in listed:
            if entry.person.manager:
                try:
                    manager = find_person(entry.person.manager, directory)
                except ValueError as fault:
                    if known:
                        self._add(entry.document, (*entry.place, "manager"), str(fault))
                else:
                    managers[PersonId(entry.person.id)] = manager
        self._refuse_cycles(listed, managers)
        return tuple(replace(p, manager=managers.get(p.id)) for p in people.values())

    def _person(self, entry: _Listed, *, known: bool) -> Person:
        person = entry.person
        groups = {g.id: g for g in self.groups.values() if g.source == entry.source}
        by_name = {g.name.casefold(): id_ for id_, g in groups.items()}
        found: set[GroupId] = set()
        for i, text in enumerate(person.groups or ()):
            id_ = GroupId(f"{entry.source}:{text}")
            if id_ in groups or text.casefold() in by_name:
                found.add(id_ if id_ in groups else by_name[text.casefold()])
            elif known:
                near = nearest(text, (g.partition(":")[2] for g in groups))
                sentence = f"There is no group {shown(text)}. {near}"
                self._add(entry.document, (*entry.place, "groups", i), sentence)
        return Person(
            id=PersonId(person.id),
            email=person.email,
            name=person.name,
            status=person.status,
            groups=frozenset(found),
            attributes={name: tuple(values) for name, values in person.attributes.items()},
            guest=person.guest,
        )

    def _refuse_cycles(
        self, listed: Sequence[_Listed], managers: Mapping[PersonId, PersonId]
    ) -> None:
        entries = {PersonId(entry.person.id): entry for entry in listed}
        done: set[PersonId] = set()
        for start in managers:
            path: dict[PersonId, None] = {}
            at: PersonId | None = start
            while at and at not in done and at not in path:
                path[at] = None
                at = managers.get(at)
            if at in path:
                chain = [*path, at][[*path].index(at) :]
                sentence = f"Nobody manages their own manager: {' → '.join(chain)}."
                self._add(entries[at].document, (*entries[at].place, "manager"), sentence)
            done.update(path)

    # --- Documents and faults -----------------------------------------------------------------

    def _documents(self, name: str) -> list[Document]:
        documents, faults = read(self.folder / name, name)
        self.faults += faults
        return documents

    def _items(
        self, document: Document, key: str, model: type[M], house: Vocabulary | None = None
    ) -> Iterator[tuple[Place, M]]:
        """Yield the sound items of a list, and where they stand."""
        for place, item in _each(document, key):
            if found := self._check(model, document, house, place, item):
                yield place, found

    def _check(
        self,
        model: type[M],
        document: Document,
        house: Vocabulary | None = None,
        place: Place = (),
        data: object = None,
    ) -> M | None:
        try:
            return model.model_validate(data if place else document.data, context=house)
        except ValidationError as error:
            for at, sentence in faults_of(error, model):
                self._add(document, (*place, *at), sentence)
            return None

    def _once(
        self,
        document: Document,
        place: Place,
        text: str,
        taken: dict[str, str],
        same: Callable[[str], str] = str.casefold,
    ) -> bool:
        key = same(text)
        if key in taken:
            self._add(document, place, f"{shown(text)} is taken: {taken[key]} has it already.")
            return False
        taken[key] = document.where(place)
        return True

    def _add(self, document: Document, place: Place, sentence: str) -> None:
        self.faults.append(document.fault(place, sentence))
