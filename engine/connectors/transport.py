"""What the way in to a PostgreSQL allows: who may read along, and which password it would tell.

Pure: it judges libpq's parameters, of Latchkey's own database and of the systems alike.
`environ` is the process's environment, from which libpq takes what the address leaves out.
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["Transport", "WayIn", "examine", "guarded", "way_in"]

SCRAM = "scram-sha-256"
VERIFIED = frozenset({"verify-ca", "verify-full"})

# What is told here, or decides where it goes.
_VARIABLES = {
    "service": "PGSERVICE",
    "host": "PGHOST",
    "hostaddr": "PGHOSTADDR",
    "port": "PGPORT",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "require_auth": "PGREQUIREAUTH",
}


class WayIn(NamedTuple):
    """Of a list of hosts, all."""

    host: str
    port: str
    sslmode: str


_NOTHING: Mapping[str, str] = MappingProxyType({})


class Transport(NamedTuple):
    """`ok`: nobody in between can read or change what is said. `sentence`: why, or the cure."""

    ok: bool
    sentence: str


def guarded(
    parameters: Mapping[str, object], environ: Mapping[str, str] = _NOTHING
) -> dict[str, object]:
    """Return the parameters with `require_auth=scram-sha-256`, unless they say otherwise.

    A server that asks for the password in clear is refused then, before it has it. A socket needs
    none of this: who answers there is this machine.
    """
    told = _told(parameters, environ)
    local = "service" not in told and all(map(_is_socket, _hosts(told)))
    if local or told.get("require_auth"):
        return dict(parameters)
    return {**parameters, "require_auth": SCRAM}


def examine(parameters: Mapping[str, object], environ: Mapping[str, str] = _NOTHING) -> Transport:
    """Tell whether TLS is verified or not needed. Of several hosts, all have to fit."""
    told = _told(guarded(parameters, environ), environ)
    if "service" in told:
        return Transport(ok=False, sentence="write the address out, instead of service=")
    hosts = list(_hosts(told))
    outside = [host for host in hosts if not (_is_socket(host) or _is_loopback(host))]
    mode = told.get("sslmode") or _usual_mode(told)
    ok = mode in VERIFIED or not outside
    if not ok:
        way = (
            f"{', '.join(outside)}: sslmode={mode} does not verify who answers. "
            "Set sslmode=verify-full, and sslrootcert to the file of its authority, in the address"
        )
    elif outside:
        way = f"TLS is verified ({mode})"
    else:
        way = "socket" if all(map(_is_socket, hosts)) else "loopback"
    accepted = told.get("require_auth")
    return Transport(ok, f"{way}; require_auth={accepted}" if accepted else way)


def way_in(parameters: Mapping[str, object], environ: Mapping[str, str] = _NOTHING) -> WayIn:
    """Return where the address leads, and how sure one may be there, for others to go there too."""
    told = _told(parameters, environ)
    host = told.get("host") or told.get("hostaddr") or "localhost"
    return WayIn(host, told.get("port") or "5432", told.get("sslmode") or _usual_mode(told))


def _told(parameters: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, str]:
    outside = {name: environ.get(variable) for name, variable in _VARIABLES.items()}
    given = {name: parameters.get(name) for name in _VARIABLES}
    return {
        name: str(value)
        for name in _VARIABLES
        if (value := outside[name] if given[name] is None else given[name])
    }


def _hosts(told: Mapping[str, str]) -> Iterator[str]:
    """Yield where each connection of a list goes: `hostaddr` is believed, `host` is its name."""
    addresses = told.get("hostaddr", "").split(",")
    names = told.get("host", "").split(",")
    if len(addresses) > 1 or addresses[0]:
        names += [""] * (len(addresses) - len(names))
        yield from (address or name for address, name in zip(addresses, names, strict=False))
    else:
        yield from names


def _is_socket(host: str) -> bool:
    return host == "" or host.startswith(("/", "@"))


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _usual_mode(told: Mapping[str, str]) -> str:
    return "verify-full" if told.get("sslrootcert") == "system" else "prefer"
