"""The name of the installation: taken in once, whoever starts under another."""

from sqlalchemy import delete

from storage import installation
from storage.tables import CompanyRow


def named(stored) -> str:
    with stored.database.read() as session:
        return installation.named(session)


def test_the_first_name_stays(stored):
    assert named(stored) == ""

    for name in ("acme", "other"):
        stored.write(lambda tx, _, name=name: installation.name(tx, name))

    assert named(stored) == "acme"


def test_where_the_companys_row_is_lost_it_is_made_anew_with_the_name(stored):
    stored.write(lambda tx, _: tx.execute(delete(CompanyRow)))
    assert named(stored) == ""

    stored.write(lambda tx, _: installation.name(tx, "acme"))

    assert named(stored) == "acme"
