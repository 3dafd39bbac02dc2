"""The name of the installation, as the logins in its systems were made under it."""

from sqlalchemy import select, update
from sqlmodel import col

from storage.database import Read, Write
from storage.tables import CompanyRow
from storage.types import as_text

_NAME = select(col(CompanyRow.installation))


def named(session: Read) -> str:
    """Return the name; empty: none was taken in yet."""
    found = session.ask(_NAME)
    return as_text(found[0][0]) if found else ""


def name(tx: Write, name: str) -> None:
    """Take a name in, if there is none."""
    tx.ensure_company()
    tx.execute(
        update(CompanyRow).where(col(CompanyRow.installation) == "").values(installation=name)
    )
