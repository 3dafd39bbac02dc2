"""Each statement of a life is found by an index: none gets slower as the ledger grows."""

import re
from datetime import UTC, datetime

from storage import clock, touched
from tests.support.inside import whole_life
from tests.support.statements import heard

# What grows with each request. What is due has an index of its own, which holds nothing else.
GROWS = {
    "request", "access_grant", "account", "ask", "decision", "message", "audit", "delivery",
}  # fmt: skip
OF_WHAT_IS_DUE = {"request_due", "account_next", "message_next"}
SCAN = re.compile(r"SCAN (\w+?)(?:_\d+)?(?: USING (?:COVERING )?INDEX (\w+))?")


def read_whole(database, said):
    """Return the tables that each statement reads from end to end."""
    read = read_by_sqlite if database.sqlite else read_by_postgresql
    with database.reader.connect() as connection:
        if not database.sqlite:  # it thinks little of small tables' indexes
            connection.exec_driver_sql("set enable_seqscan = off")
        for words, values in said.items():
            if re.match("select|insert|update|delete", words, re.IGNORECASE):
                yield words, set(read(connection, words, values)) & GROWS


def read_by_sqlite(connection, words, given):
    for *_, step in connection.connection.execute(f"explain query plan {words}", given):
        scan = SCAN.fullmatch(step)
        if scan and scan[2] not in OF_WHAT_IS_DUE:
            yield scan[1]


def read_by_postgresql(connection, words, given):
    (answer,) = connection.exec_driver_sql(f"explain (format json) {words}", given).one()
    nodes = [answer[0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        found = "Index Cond" in node or "Recheck Cond" in node
        due = node.get("Index Name") in OF_WHAT_IS_DUE
        if "Relation Name" in node and "Scan" in node["Node Type"] and not (found or due):
            yield node["Relation Name"]


def test_no_statement_reads_all_requests(inside):
    """A click read all requests on PostgreSQL, and a change of a card all messages on SQLite."""
    said = {}

    def hear(words, values):
        said[words] = tuple(values) if isinstance(values, list) else values

    with heard(inside.database, hear):
        whole_life(inside)
        with inside.database.read() as session:  # it has a connection of its own
            now = datetime.now(UTC)
            given = {**touched.moments(now), "never": now + clock.NEVER, "limit": 1}
            session.ask(clock.DUE, given)
    assert len(said) > 30
    found = dict(read_whole(inside.database, said))
    assert {words: tables for words, tables in found.items() if tables} == {}
