"""What an address allows on its way: judged from libpq's parameters, without a connection."""

import pytest
from psycopg.conninfo import conninfo_to_dict

from engine.connectors.transport import examine, guarded, way_in

VERIFIED = "sslmode=verify-full"


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("host=db.example", "scram-sha-256"),
        ("host=127.0.0.1", "scram-sha-256"),
        ("host=/run/postgresql,db.example", "scram-sha-256"),
        ("hostaddr=10.0.0.1 host=/run/postgresql", "scram-sha-256"),
        ("service=main", "scram-sha-256"),
        ("host=db.example require_auth=password", "password"),
        ("host=db.example require_auth=none", "none"),
        ("host=/run/postgresql", None),
        ("host=/run/postgresql,@abstract", None),
        ("user=latchkey", None),
    ],
)
def test_a_password_is_told_only_as_scram_unless_the_address_says_otherwise(address, expected):
    """A server that asked for the password in clear text was given it."""
    given = conninfo_to_dict(address)

    found = guarded(given)

    assert found.pop("require_auth", None) == expected
    assert found == {name: value for name, value in given.items() if name != "require_auth"}


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        (
            f"host=db.example {VERIFIED}",
            "TLS is verified (verify-full); require_auth=scram-sha-256",
        ),
        ("host=db.example sslmode=verify-ca require_auth=none", "TLS is verified (verify-ca)"),
        ("host=db.example sslrootcert=system", "TLS is verified (verify-full)"),
        (f"host=a.example,10.0.0.2 {VERIFIED}", "TLS is verified"),
        ("host=localhost", "loopback; require_auth=scram-sha-256"),
        ("host=LocalHost", "loopback"),
        ("host=127.4.5.6", "loopback"),
        ("host=::1", "loopback"),
        ("host=db.example hostaddr=127.0.0.1", "loopback"),
        ("host=/run/postgresql,127.0.0.1", "loopback"),
        ("host=/run/postgresql", "socket"),
        ("user=latchkey", "socket"),
    ],
)
def test_tls_is_verified_or_not_needed(address, sentence):
    found = examine(conninfo_to_dict(address))

    assert found.ok
    assert found.sentence.startswith(sentence)


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("host=db.example", "db.example: sslmode=prefer"),
        ("host=db.example sslmode=disable", "sslmode=disable"),
        ("host=db.example sslmode=require", "sslmode=require"),
        ("host=127.0.0.1,db.example", "db.example:"),
        ("host=/run/postgresql,10.1.2.3", "10.1.2.3:"),
        ("host=localhost hostaddr=10.1.2.3", "10.1.2.3:"),
        ("host=localhost.example", "localhost.example:"),
        ("host=127.0.0.1.example", "127.0.0.1.example:"),
        ("host=a,b hostaddr=127.0.0.1,", "b: "),
    ],
)
def test_whoever_could_stand_in_between_is_named_with_the_cure(address, named):
    found = examine(conninfo_to_dict(address))

    assert not found.ok
    assert named in found.sentence
    assert "sslmode=verify-full" in found.sentence
    assert "127.0.0.1, " not in found.sentence


def test_what_the_environment_adds_counts():
    """libpq fills in from the environment what the address leaves out."""
    nothing = conninfo_to_dict("user=latchkey")

    assert not examine(nothing, {"PGHOST": "db.example"}).ok
    assert guarded(nothing, {"PGHOST": "db.example"})["require_auth"] == "scram-sha-256"
    assert examine(nothing, {"PGHOST": "db.example", "PGSSLMODE": "verify-full"}).ok
    assert "require_auth" not in guarded({"host": "db"}, {"PGREQUIREAUTH": "password"})
    assert not examine({"host": "db", "sslmode": "prefer"}, {"PGSSLMODE": "verify-full"}).ok


def test_a_service_hides_where_it_goes():
    found = examine({"service": "main", "host": "127.0.0.1", "sslmode": "verify-full"})

    assert not found.ok
    assert "write the address out" in found.sentence


@pytest.mark.parametrize(
    ("address", "environ", "way"),
    [
        (
            {"host": "db.example", "sslrootcert": "system"},
            {},
            ("db.example", "5432", "verify-full"),
        ),
        (
            {"user": "l"},
            {"PGHOST": "db.example", "PGPORT": "6000", "PGSSLMODE": "verify-full"},
            ("db.example", "6000", "verify-full"),
        ),
        ({"hostaddr": "192.0.2.1", "port": "6432"}, {}, ("192.0.2.1", "6432", "prefer")),
        ({}, {}, ("localhost", "5432", "prefer")),
    ],
    ids=["verified by the system", "by the environment", "by number", "by default"],
)
def test_others_are_shown_no_weaker_way_than_our_own(address, environ, way):
    """People were shown sslmode=prefer, and another host, than Latchkey itself went by."""
    assert way_in(address, environ) == way
