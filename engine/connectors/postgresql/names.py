"""How PostgreSQL's things are named outside it: paths for people, ids for the ledger, risks."""

import re
from typing import NamedTuple

__all__ = [
    "HEIRS",
    "PERMISSIONS",
    "Place",
    "heir",
    "names_in",
    "path_of",
    "permission_risk",
    "place_of",
    "resource_risk",
    "type_of",
]

_PLAIN = re.compile(r'[^\s/"]([^/"]*[^\s/"])?')
_PART = re.compile(r'(U&)?"((?:[^"]|"")*)"|([^/"]+)')
_ESCAPED = re.compile(r"\\(?:\+([0-9A-F]{6})|([0-9A-F]{4})|\\)")
_SOURCE_ID = re.compile(r"db:(\d{1,10})(?:/(ns|rel|fn):(\d{1,10}))?")
_ROLE_ID = re.compile(r"role:(\d{1,10})")
_INSIDE = ("ns", "rel", "fn")
_TYPES = {None: "database", "ns": "schema", "rel": "table", "fn": "function"}


HEIRS = "latchkey_keeps_"  # what the names of roles begin with that own what grantees made


def heir(installation: str) -> str:
    """Return the name of the role that owns what former grantees of an installation made."""
    return f"{HEIRS}{installation}"[:63]


def path_of(*names: str) -> str:
    """Join names as people read them; one that would mislead is quoted as SQL does."""
    return "/".join(map(_written, names))


def names_in(path: str) -> list[str]:
    """Split what `path_of` joined."""
    return [_read(*match.groups()) for match in _PART.finditer(path)]


def _written(name: str) -> str:
    if not name.isprintable():  # with line breaks, for one
        inside = "".join(map(_letter, name)).replace('"', '""')
        return f'U&"{inside}"'
    return name if _PLAIN.fullmatch(name) else '"' + name.replace('"', '""') + '"'


def _letter(letter: str) -> str:
    if letter.isprintable():
        return letter.replace("\\", "\\\\")
    return f"\\{ord(letter):04X}" if letter <= "\uffff" else f"\\+{ord(letter):06X}"


def _read(escaped: str | None, quoted: str | None, plain: str) -> str:
    if quoted is None:
        return plain
    inside = quoted.replace('""', '"')
    return _ESCAPED.sub(_meant, inside) if escaped else inside


def _meant(found: re.Match[str]) -> str:
    number = found[1] or found[2]
    return chr(int(number, 16)) if number else "\\"


class Place(NamedTuple):
    """Where a target is: numbers that stay when names change, and are new when a thing is re-made.

    They are those of one server, and mean other things on another. A role is in no database: 0.
    """

    database: int
    schema: int = 0
    relation: int = 0
    routine: int = 0
    role: int = 0

    def __str__(self) -> str:
        if self.role:
            return f"role:{self.role}"
        for kind, number in zip(_INSIDE, self[1:4], strict=True):
            if number:
                return f"db:{self.database}/{kind}:{number}"
        return f"db:{self.database}"

    @classmethod
    def of(cls, type_: str, database: int, number: int) -> "Place":
        """Return the place of a thing of this type, inside a database."""
        return cls(
            database,
            schema=number if type_ == "schema" else 0,
            relation=number if type_ == "table" else 0,
            routine=number if type_ == "function" else 0,
        )

    @property
    def thing(self) -> tuple[str, int]:
        """The kind of object that it is, in `acl.Kind`'s words, and its number."""
        if self.relation:
            return "table", self.relation
        if self.routine:
            return "routine", self.routine
        return ("schema", self.schema) if self.schema else ("database", self.database)


def type_of(source_id: str) -> str:
    """Return the type of what a source id is the number of; empty: it is none of ours."""
    types = (*_TYPES.values(), "role")
    return next((type_ for type_ in types if place_of(type_, source_id)), "")


def place_of(type_: str, source_id: str) -> Place | None:
    """Read a source id; None if it is none of ours, or of another type."""
    if type_ == "role":
        match = _ROLE_ID.fullmatch(source_id)
        return Place(0, role=int(match[1])) if match else None
    match = _SOURCE_ID.fullmatch(source_id)
    if match is None or _TYPES[match[2]] != type_:
        return None
    return Place.of(type_, int(match[1]), int(match[3] or 0))


# --- Risk: 1 (low) to 10 (critical). docs/postgresql.md prints these tables ---------------------
_BASE = {
    ("database", "connect"): 2,
    ("table", "read"): 4,
    ("schema", "read"): 5,
    ("table", "read-write"): 6,
    ("schema", "read-write"): 7,
    ("table", "truncate"): 7,
    ("function", "execute"): 5,
    ("role", "member"): 7,
}
PERMISSIONS = frozenset(_BASE)  # all that can be had: of each type, which
_RESOURCE = 4
_WORDS = {
    3: """bank card cards cc credential credentials cvv iban key keys passport password passwords
        payment payments payout payouts payroll pin salaries salary secret secrets ssn token
        tokens""",
    2: """account accounts address addresses birth customer customers email emails employee
        employees health medical member members patient patients people person personal persons
        phone phones pii profile profiles user users""",
    -2: """demo dev development example examples fixture fixtures playground sample samples sandbox
        scratch staging temp test testing tests tmp""",
}
_WEIGHTS = {word: weight for weight, words in _WORDS.items() for word in words.split()}
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[^\W\d_A-Za-z]+")


def resource_risk(*names: str) -> int:
    return _clamp(_RESOURCE + _weight(names))


def permission_risk(type_: str, permission: str, *names: str) -> int:
    return _clamp(_BASE[type_, permission] + _weight(names))


def _weight(names: tuple[str, ...]) -> int:
    """The gravest sensitive word counts; a harmless one counts against it."""
    words = (word.casefold() for name in names for word in _WORD.findall(name))
    weights = [0, *(_WEIGHTS.get(word, 0) for word in words)]
    return max(weights) + min(weights)


def _clamp(risk: int) -> int:
    return min(10, max(1, risk))
