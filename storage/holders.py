"""Who holds locked what Latchkey waits for: somebody at a terminal, another program.

Only PostgreSQL has them. Latchkey's own sessions never hold a lock for long: the server ends one
that stands idle in a transaction for as long as `IDLE_FOR`.
"""

from dataclasses import dataclass, field

from sqlalchemy import text

from storage.database import Read

__all__ = ["IDLE_FOR", "Holder", "end", "find"]

IDLE_FOR = 5.0  # seconds

# Who waits for a row has a lock of its place, or waits for that, too. Whoever waits holds nothing
# up by itself: those in front of it do.
_HOLDERS = text("""
select h.pid, coalesce(h.usename, ''),
       coalesce(string_agg(distinct c.relname::text, ', ' order by c.relname::text), ''),
       coalesce((select min(v.virtualtransaction) from pg_locks v where v.pid = h.pid), '')
from pg_stat_activity w
cross join unnest(pg_blocking_pids(w.pid)) as by (pid)
join pg_stat_activity h on h.pid = by.pid and h.wait_event_type is distinct from 'Lock'
left join pg_locks l on l.pid = w.pid and (l.locktype = 'tuple' or not l.granted)
left join pg_class c on c.oid = l.relation
where w.usename = current_user and w.datname = current_database() and w.wait_event_type = 'Lock'
group by h.pid, h.usename order by h.pid
""")
_END = text("""
select pg_terminate_backend(pid) from pg_stat_activity
where pid = :pid and usename = current_user and state = 'idle in transaction'
  and state_change < clock_timestamp() - make_interval(secs => :idle)
""")


@dataclass(frozen=True, slots=True)
class Holder:
    """A session, by the number of its process on the database's server. `tables` may be empty.

    `transaction` tells its transactions apart: one session may be in front of others for long by
    many that are short.
    """

    pid: int
    role: str
    tables: str
    transaction: str = field(default="", compare=False)


def find(session: Read) -> list[Holder]:
    """Return for whom sessions of Latchkey's own role wait just now; nobody on SQLite."""
    if session.dialect == "sqlite":
        return []
    return [Holder(*row) for row in session.execute(_HOLDERS)]


def end(session: Read, holder: Holder) -> bool:
    """End the session, if it is of Latchkey's own role, and has stood idle in a transaction."""
    return bool(session.execute(_END, {"pid": holder.pid, "idle": IDLE_FOR}).scalar())
