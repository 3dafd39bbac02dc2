"""The parts of `docs/` that are printed: `python -m tests.printed` writes them."""

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from bot.listeners.access import WORDS
from bot.sandbox import rules
from bot.settings import Settings
from engine import account
from engine.account import PasswordState, Phase
from engine.aql.errors import BadQueryError
from engine.aql.explained import explain
from engine.aql.filters import OFFERED
from engine.aql.parser import parse
from engine.aql.tokens import FIELDS, RISKS
from engine.convergence import passwords
from engine.lifecycle import TABLE, Do, Row
from engine.request import State
from engine.risk import PUBLISHED

DOCS = Path(__file__).parents[1] / "docs"
FILES = {
    "aql.md": ("fields", "risks", "errors", "sentences", "filters"),
    "rules.md": ("risk_rules",),
    "architecture.md": ("states", "phases", "passwords"),
    "running.md": ("words", "settings"),
    "sandbox.md": ("methods", "sizes", "events", "blocks", "elements", "parts"),
}


def states() -> str:
    """Print what each state does with each command."""
    head = ["state", *(command.__name__ for command in TABLE)]
    rows = [[state.value, *(_cell(TABLE[c][state], state) for c in TABLE)] for state in State]
    return _table(head, rows)


def phases() -> str:
    """Print what each phase of an account does with each thing that happens."""
    head = ["event", *(phase.value for phase in Phase)]
    rows = [
        [event.__name__, *(_arrows(row[phase].to, phase) for phase in Phase)]
        for event, row in account.TABLE.items()
    ]
    return _table(head, rows)


def password_states() -> str:
    """Print what becomes of each state of a password."""
    head = ["what happens", *(state.value for state in PasswordState)]
    rows = [
        [fate.value, *(_arrows(row[state].to, state) for state in PasswordState)]
        for fate, row in passwords.TABLE.items()
    ]
    return _table(head, rows)


def words() -> str:
    """Print what may follow `/access`."""
    rows = [[f"`/access {word.name}`", word.does] for word in WORDS.values()]
    return _table(["what people type", "what for"], rows)


def settings() -> str:
    """Print what can be set."""
    rows = []
    for field in Settings.model_fields.values():
        default = "required" if field.is_required() else f"`{field.default}`"
        shown = default if field.default is not None or field.is_required() else ""
        rows.append([f"`{field.alias}`", shown, field.description or ""])
    return _table(["setting", "default", "what for"], rows)


def fields() -> str:
    """Print what AQL can speak of."""
    few = min(len(kind.operators) for kind in FIELDS.values())
    rows = []
    for name, kind in FIELDS.items():
        key = '["key"]' if kind.keyed else ""
        operators = "whole" if len(kind.operators) == few else "all"
        whose = name.partition("_")[0]
        said = f"the {whose}'s {kind.says}{'s' if kind.says == 'tag' else ''}"
        rows.append([f"`{name}{key}`", said, kind.compared, operators, f"`{kind.example}`"])
    return _table(["field", "what it is", "compared", "operators", "for example"], rows)


def risks() -> str:
    """Print which scores a level of risk matches."""
    scores = [f"{least}–{most}" if least < most else f"{least}" for least, most in RISKS.values()]
    return _table(["level", *RISKS], [["scores", *scores]])


def risk_rules() -> str:
    """Print what says how risky something is where nobody does."""
    rows = []
    for number, rule in enumerate(PUBLISHED, 1):
        of = "resource" if rule.resource else "permission"
        rows.append([f"{number}", f"`{rule.where}`", of, f"{rule.resource or rule.permission}"])
    return _table(["", "where", "of the", "risk"], rows)


WRONG = (
    'Resource_Type = "table"',
    'resource_type contains "tab"',
    'permission_name startswith "re"',
    'resource_tag = "prod"',
    "resource_name = orders",
    'resource_name contains ""',
    'resource_risk_level = "severe"',
    'resource_type = "table" resource_name = "orders"',
    '(resource_type = "table"',
    'resource_name = "orders',
)


def errors() -> str:
    """Print what is said of queries that are none."""
    rows = []
    for text in WRONG:
        try:
            parse(text)
        except BadQueryError as error:
            rows.append([f"`{text}`", str(error)])
    return _table(["query", "what is said"], rows)


SAID = (
    'resource_type in ("table", "schema")',
    'resource_risk_level != "high"',
    'resource_tag["env"] = "prod"',
    'resource_tag["env"] != "prod"',
)


def sentences() -> str:
    """Print conditions in words."""
    rows = [[f"`{text}`", explain(parse(text)).removeprefix("- ")] for text in SAID]
    return _table(["condition", "in words"], rows)


def filters() -> str:
    """Print what the form over AQL offers."""
    rows = [[f"`{name}`", " ".join(f"`{o}`" for o in OFFERED[name])] for name in OFFERED]
    return _table(["row", "operators"], rows)


def put(text: str, name: str, printed: str) -> str:
    """Return the text with what stands between the marks of `name` replaced."""
    start, end = f"<!-- printed: {name} -->", "<!-- end -->"
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    return pattern.sub(lambda _: f"{start}\n{printed}\n{end}", text)


def current(name: str) -> str:
    """Return the file of `docs/` as it should be."""
    text = (DOCS / name).read_text()
    for part in FILES[name]:
        text = put(text, part, PARTS[part]())
    return text


def _cell(row: Row, state: State) -> str:
    if not isinstance(row, Do):
        return f"✗ {row.code.value}"
    return _arrows(row.to, state)


def _arrows(to: tuple[StrEnum, ...], of: StrEnum) -> str:
    away = ", ".join(f"→ {state.value}" for state in to if state is not of)
    return away or ("stays" if to else "·")


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _of_sandbox(rows: Callable[[], list[list[str]]]) -> Callable[[], str]:
    def printed() -> str:
        head, *body = rows()
        return _table(head, body)

    return printed


PARTS: dict[str, Callable[[], str]] = {
    "states": states,
    "phases": phases,
    "passwords": password_states,
    "settings": settings,
    "words": words,
    "fields": fields,
    "risks": risks,
    "risk_rules": risk_rules,
    "errors": errors,
    "sentences": sentences,
    "filters": filters,
    **{name: _of_sandbox(getattr(rules, name)) for name in FILES["sandbox.md"]},
}


if __name__ == "__main__":
    for file in FILES:
        (DOCS / file).write_text(current(file))
