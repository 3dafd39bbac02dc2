"""What AQL is written with: one table, for reading and for what an error says.

A token is a field, an operator, a word that joins, a sign, or a value in double quotes.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

__all__ = [
    "FIELDS",
    "LISTS",
    "NEGATIVE",
    "RISKS",
    "SCORES",
    "TOKENS",
    "Compared",
    "Field",
    "Joiner",
    "Kind",
    "Operator",
    "Sign",
    "Token",
    "instead_of",
    "place",
    "quoted",
    "scan",
    "unquoted",
]


class Field(StrEnum):
    INTEGRATION = "integration"
    INTEGRATION_NAME = "integration_name"
    RESOURCE = "resource"
    RESOURCE_TYPE = "resource_type"
    RESOURCE_NAME = "resource_name"
    RESOURCE_PATH = "resource_path"
    RESOURCE_SOURCE_ID = "resource_source_id"
    RESOURCE_STATUS = "resource_status"
    RESOURCE_RISK_LEVEL = "resource_risk_level"
    RESOURCE_TAG = "resource_tag"
    RESOURCE_CONTEXT = "resource_context"
    PERMISSION = "permission"
    PERMISSION_NAME = "permission_name"
    PERMISSION_RISK_LEVEL = "permission_risk_level"
    PERMISSION_TAG = "permission_tag"
    PERMISSION_CONTEXT = "permission_context"


class Operator(StrEnum):
    EQUALS = "="
    NOT_EQUALS = "!="
    IN = "in"
    NOT_IN = "not_in"
    CONTAINS = "contains"
    NOT_CONTAINS = "not_contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"


class Joiner(StrEnum):
    NOT = "not"
    AND = "and"
    OR = "or"


class Sign(StrEnum):
    OPEN = "("
    CLOSE = ")"
    OPEN_KEY = "["
    CLOSE_KEY = "]"
    COMMA = ","


Token = Field | Operator | Joiner | Sign

LISTS = frozenset({Operator.IN, Operator.NOT_IN})  # those with several values, in brackets
NEGATIVE = {  # each is exactly NOT of the other
    Operator.NOT_EQUALS: Operator.EQUALS,
    Operator.NOT_IN: Operator.IN,
    Operator.NOT_CONTAINS: Operator.CONTAINS,
}
_WHOLE = (Operator.EQUALS, Operator.NOT_EQUALS, Operator.IN, Operator.NOT_IN)
_PARTS = (
    Operator.CONTAINS,
    Operator.NOT_CONTAINS,
    Operator.STARTS_WITH,
    Operator.ENDS_WITH,
)
_ALL = _WHOLE + _PARTS


class Compared(StrEnum):
    """How the values of a field are compared."""

    EXACTLY = "exactly"
    WITHOUT_CASE = "without case"  # Unicode's case folding
    AS_RISK = "by level or score"


@dataclass(frozen=True, slots=True)
class Kind:
    """What there is to a field. `keyed`: it wants a key, `field["key"]`, compared exactly."""

    says: str  # what it is, after “the integration's”, “the resource's” or “the permission's”
    compared: Compared
    operators: tuple[Operator, ...]
    example: str
    keyed: bool = False


_EXACTLY, _FOLDED, _RISK = Compared.EXACTLY, Compared.WITHOUT_CASE, Compared.AS_RISK

FIELDS: Mapping[Field, Kind] = {
    Field.INTEGRATION: Kind("id", _EXACTLY, _WHOLE, 'integration = "orders-db"'),
    Field.INTEGRATION_NAME: Kind(
        "name", _FOLDED, _ALL, 'integration_name starts_with "Production"'
    ),
    Field.RESOURCE: Kind("id", _EXACTLY, _WHOLE, 'resource in ("4711", "4712")'),
    Field.RESOURCE_TYPE: Kind("type", _FOLDED, _WHOLE, 'resource_type in ("schema", "table")'),
    Field.RESOURCE_NAME: Kind("name", _FOLDED, _ALL, 'resource_name contains "invoice"'),
    Field.RESOURCE_PATH: Kind("path", _FOLDED, _ALL, 'resource_path starts_with "shop/public/"'),
    Field.RESOURCE_SOURCE_ID: Kind(
        "source id", _EXACTLY, _ALL, 'resource_source_id ends_with ":role/Deploy"'
    ),
    Field.RESOURCE_STATUS: Kind("status", _FOLDED, _WHOLE, 'resource_status = "active"'),
    Field.RESOURCE_RISK_LEVEL: Kind("risk", _RISK, _WHOLE, 'resource_risk_level != "critical"'),
    Field.RESOURCE_TAG: Kind("tag", _FOLDED, _ALL, 'resource_tag["env"] = "prod"', keyed=True),
    Field.RESOURCE_CONTEXT: Kind(
        "context", _FOLDED, _ALL, 'resource_context["region"] starts_with "eu-"', keyed=True
    ),
    Field.PERMISSION: Kind("id", _EXACTLY, _WHOLE, 'permission != "pg-write"'),
    Field.PERMISSION_NAME: Kind("name", _FOLDED, _ALL, 'permission_name not_contains "admin"'),
    Field.PERMISSION_RISK_LEVEL: Kind(
        "risk", _RISK, _WHOLE, 'permission_risk_level in ("low", "4")'
    ),
    Field.PERMISSION_TAG: Kind(
        "tag", _FOLDED, _ALL, 'permission_tag["kind"] not_in ("custom", "legacy")', keyed=True
    ),
    Field.PERMISSION_CONTEXT: Kind(
        "context", _FOLDED, _ALL, 'permission_context["owner"] = "data"', keyed=True
    ),
}

TOKENS: Mapping[str, Token] = {
    **{str(token): token for kind in (Field, Operator, Joiner, Sign) for token in kind},
    **{joiner.upper(): joiner for joiner in Joiner},
}

RISKS: Mapping[str, tuple[int, int]] = {  # from and to, both included
    "low": (1, 3),
    "medium": (4, 6),
    "high": (7, 9),
    "critical": (10, 10),
}
SCORES: Mapping[str, frozenset[int]] = {  # what is written, and the scores that it matches
    **{level: frozenset(range(least, most + 1)) for level, (least, most) in RISKS.items()},
    **{str(score): frozenset({score}) for score in range(1, 11)},
}

# A value, a sign, a run of what joins signs to an operator, a word, or a quote without its end.
_TOKEN = re.compile(
    r'"(?:[^"\\\n]++|\\["\\nt])*+"'
    r"|[()\[\],]"
    r"|[=!<>~&|]++"
    r'|[^\s"()\[\],=!<>~&|]++'
    r'|"'
)
_ESCAPED = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}
_MEANT = {escape: plain for plain, escape in _ESCAPED.items()}
_ESCAPE = re.compile(r"\\.")
_TO_ESCAPE = str.maketrans(_ESCAPED)


def scan(text: str) -> list[str]:
    """Return the tokens as they are written: every character that is no white space is in one."""
    return _TOKEN.findall(text)


def place(text: str, number: int) -> int:
    """Return where the token with that number begins; for the one after the last, where that ends.

    Only an error asks, so that reading does not pay for it.
    """
    end = 0
    for at, found in enumerate(_TOKEN.finditer(text)):
        if at == number:
            return found.start()
        end = found.end()
    return end


def quoted(value: str) -> str:
    """Write a value as it stands in a query."""
    return f'"{value.translate(_TO_ESCAPE)}"'


def unquoted(token: str) -> str:
    """Return the value that a token in quotes means."""
    inside = token[1:-1]
    return _ESCAPE.sub(lambda m: _MEANT[m[0]], inside) if "\\" in inside else inside


def instead_of(field: Field, operator: Operator, value: str) -> str:
    """Say what is expected instead of a value; empty where it will do."""
    if FIELDS[field].compared is Compared.AS_RISK and value not in SCORES:
        return f'{", ".join(RISKS)} or a score from "1" to "10"'
    if not value and operator in _PARTS:
        return f"at least one character after {operator}"
    return ""
