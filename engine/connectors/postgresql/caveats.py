"""What those who get something cannot use of it all the same, and why.

A view reads with its owner's rights, or, where it says so (`security_invoker`), with those of the
person who reads, through whatever other view they came. Functions are run and sequences used with
the person's rights always. So what speaks against one view speaks against each that reads it.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from engine.connectors.postgresql.names import HEIRS, path_of
from engine.connectors.postgresql.sessions import Connection

__all__ = ["Caveat", "caveats", "of_schema"]

KEPT = 20  # findings of one kind that are told apart: views on views would make them too many
NAMED = 3  # things that are named one by one; of more their number is told


class Finding(NamedTuple):
    """One thing that stands in the way: its kind, a key of `_SENTENCES`, and words about it."""

    kind: str
    words: str
    schema: str = ""  # who has all of it does not meet this


class Caveat(NamedTuple):
    """What is found against a table, or what is like a table."""

    oid: int
    schema: str
    name: str
    findings: Sequence[Finding]

    @property
    def path(self) -> str:
        return path_of(self.schema, self.name)

    @property
    def reading(self) -> bool:
        """Whether it concerns who reads, too."""
        return any(finding.kind not in _WRITING for finding in self.findings)

    @property
    def sentence(self) -> str:
        found = _by_kind(self.findings)
        return " ".join(
            sentence.format(_some(found[kind]), verb="has" if len(found[kind]) == 1 else "have")
            for kind, sentence in _SENTENCES.items()
            if kind in found
        )


_SENTENCES = {
    "blind": "Reading it fails, as views read with their owner's rights: {}.",
    "calls": "Reading it runs {}, which is not everybody's to run.",
    "unfilled": "Reading it fails until this is done: {}.",
    "reader": "A view that reads with its reader's rights: {} {verb} to be readable.",
    "rows": "Row security: {}.",
    "mapping": "A foreign table: the login needs a user mapping to its server.",
    "writes": "Read-write: changing rows fails, as views write with their owner's rights: {}.",
    "numbers": "Read-write: adding rows takes numbers from {}, which only the whole schema brings.",
}
_BRIEFLY = {
    "blind": "its owner may not read what it shows",
    "calls": "it runs what not everybody may run",
    "unfilled": "it has not been refreshed",
    "reader": "it reads with its reader's rights",
    "rows": "row security",
    "mapping": "it needs a user mapping",
    "writes": "its owner may not write to what it shows",
    "numbers": "its numbers come from elsewhere",
}
_WRITING = frozenset({"writes", "numbers"})  # they do not concern who only reads
_MET_BY_SCHEMA = ("reader", "numbers")  # what is asked for comes along with the whole schema


class _Relation(NamedTuple):
    oid: int
    schema: str
    name: str
    hidden: bool  # offered to nobody
    policies: Sequence[str] | None  # whom they let read, "" is everybody; None: no row security
    mapped: bool  # a login can reach the server that it is on
    unfilled: str  # what would fill it


class _Reads(NamedTuple):
    """A view reads a base, which may be a view again."""

    view: int
    base: int
    name: str
    schema: str
    owner: str  # in whose name it reads; empty: the reader's
    readable: bool
    writable: bool
    filtered: bool  # row security hides rows from that role
    some: bool  # and leaves some


def caveats(connection: Connection) -> list[Caveat]:
    """Return what cannot be used whole in this database, in the order of names."""
    relations = {row[0]: _Relation(*row) for row in connection.execute(_RELATIONS, [HEIRS])}
    reads = [_Reads(*row) for row in connection.execute(_READS)]
    readers = defaultdict[int, list[int]](list)
    for each in reads:
        readers[each.base].append(each.view)
    seeds = defaultdict[str, list[tuple[int, Finding]]](list)
    for oid, finding in _seeds(connection, relations, reads, readers):
        seeds[finding.kind].append((oid, finding))
    against = defaultdict[int, set[Finding]](set)
    for kind in seeds.values():
        for oid, findings in _spread(kind, readers).items():
            against[oid] |= findings
    written = [each.view for each in reads if any(f.kind in _WRITING for f in against[each.view])]
    for (view,) in connection.execute(_CLOSED_TO_ROWS, [written]) if written else ():
        against[view] = {finding for finding in against[view] if finding.kind not in _WRITING}
    for relation in relations.values():
        against[relation.oid].update(_in_itself(relation))
    return [
        Caveat(oid, relation.schema, relation.name, sorted(against[oid]))
        for oid, relation in relations.items()
        if against[oid] and not relation.hidden
    ]


def of_schema(schema: str, found: Iterable[Caveat]) -> str:
    """Say of a whole schema what in it cannot be used all the same; empty: all can."""
    names = []
    for caveat in found:
        if caveat.schema == schema:
            left = [
                f for f in caveat.findings if f.kind not in _MET_BY_SCHEMA or f.schema != schema
            ]
            if left:
                why = next(words for kind, words in _BRIEFLY.items() if kind in _by_kind(left))
                names.append(f"{path_of(caveat.name)} ({why})")
    return f"Not all of it can be used: {_some(names)}." if names else ""


def _in_itself(relation: _Relation) -> Iterator[Finding]:
    if relation.policies is not None:
        yield Finding("rows", _rows_left(relation.policies, "of it"))
    if not relation.mapped:
        yield Finding("mapping", "")


def _seeds(
    connection: Connection,
    relations: Mapping[int, _Relation],
    reads: Sequence[_Reads],
    readers: Mapping[int, Sequence[int]],
) -> Iterator[tuple[int, Finding]]:
    """Yield what is found against something, and so against all that reads it."""
    bases = Counter(each.view for each in reads)
    for each in reads:
        for finding in _by_reading(each, relations, alone=bases[each.view] == 1):
            yield each.view, finding
    for oid, relation in relations.items():
        if relation.unfilled:
            yield oid, Finding("unfilled", relation.unfilled)
    for view, routine in connection.execute(_CALLS):
        yield view, Finding("calls", routine)
    for oid, name, schema, own in connection.execute(_SEQUENCES):
        # What a table owns comes along with it, but not with a view of it.
        for needing in readers.get(oid, ()) if own else (oid,):
            yield needing, Finding("numbers", name, schema)


def _by_reading(
    each: _Reads, relations: Mapping[int, _Relation], *, alone: bool
) -> Iterator[Finding]:
    """Yield what one view meets when it reads one base; `alone`: it has no other."""
    if not each.owner:
        if not each.readable:
            yield Finding("reader", each.name, each.schema)
        base = relations.get(each.base)
        if base is not None and base.policies is not None:
            yield Finding("rows", _rows_left(base.policies, f"of {each.name}"))
        return
    if not each.readable:
        yield Finding("blind", f"{each.owner} may not read {each.name}")
        return
    if alone and not each.writable:
        yield Finding("writes", f"{each.owner} may not write to {each.name}")
    if each.filtered:
        rows = f"only those rows of {each.name} are seen that {each.owner} may see"
        none = f"no rows at all of {each.name} are seen, as no policy lets {each.owner} read"
        yield Finding("rows", rows if each.some else none)


def _rows_left(policies: Sequence[str], of: str) -> str:
    if not policies:
        return f"no rows at all {of} are seen, as it has no policy for reading"
    if "" in policies:
        return f"only those rows {of} are seen that its policies allow"
    return f"rows {of} are seen only by members of {_some(sorted(policies))}"


def _spread(
    seeds: Iterable[tuple[int, Finding]], readers: Mapping[int, Sequence[int]]
) -> dict[int, set[Finding]]:
    """Carry what is found against something to all that reads it, in however many steps."""
    found = defaultdict[int, set[Finding]](set)
    left = deque(sorted(set(seeds)))
    while left:
        oid, finding = left.popleft()
        here = found[oid]
        if finding not in here and len(here) < KEPT:  # views that were replaced may form a circle
            here.add(finding)
            left.extend((reader, finding) for reader in readers.get(oid, ()))
    return found


def _by_kind(findings: Iterable[Finding]) -> dict[str, list[str]]:
    found = defaultdict[str, list[str]](list)
    for finding in findings:
        found[finding.kind].append(finding.words)
    return dict(found)


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


_RELATIONS = """
select c.oid, nspname, relname, starts_with(pg_get_userbyid(relowner), %s),
    case when relrowsecurity then array(
        select distinct case when r = 0::oid then '' else pg_get_userbyid(r)::text end
        from pg_policy, unnest(polroles) r
        where polrelid = c.oid and polpermissive and polcmd in ('r', '*')
    ) end,
    relkind <> 'f' or exists (select from pg_foreign_table f join pg_user_mappings m
        on m.srvid = f.ftserver and m.umuser = 0::oid where f.ftrelid = c.oid),
    case when relispopulated then ''
        else 'REFRESH MATERIALIZED VIEW ' || c.oid::regclass::text end
from pg_class c join pg_namespace n on n.oid = relnamespace
where relkind in ('r', 'p', 'v', 'm', 'f')
    and nspname !~ '^pg_' and nspname <> 'information_schema'
order by nspname, relname
"""
# A materialised view holds what it shows: what it once read is not read again.
_READS = """
with reads as (
    select v.oid as view, v.relowner as owner, d.refobjid as base,
        array_agg(d.refobjsubid) as columns,
        coalesce((select bool_or(option_value::boolean) from pg_options_to_table(v.reloptions)
            where option_name = 'security_invoker'), false) as invoker
    from pg_class v join pg_namespace n on n.oid = v.relnamespace
        join pg_rewrite w on w.ev_class = v.oid and w.ev_type = '1'
        join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
            and d.refclassid = 'pg_class'::regclass and d.refobjid <> v.oid
    where v.relkind = 'v' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    group by v.oid, v.relowner, v.reloptions, d.refobjid
)
select view, base, b.oid::regclass::text, n.nspname,
    case when invoker then '' else o.rolname end,
    case
        when invoker then has_table_privilege('public', base, 'SELECT')
        when has_table_privilege(owner, base, 'SELECT') then true
        else (
            select coalesce(bool_and(case
                when number > 0 then has_column_privilege(owner, base, number::smallint, 'SELECT')
                else has_any_column_privilege(owner, base, 'SELECT')
            end), true) from unnest(columns) number
        )
    end,
    (
        select bool_and(has_table_privilege(owner, base, privilege))
        from unnest(array['INSERT', 'UPDATE', 'DELETE']) privilege
    ),
    b.relrowsecurity and not (o.rolsuper or o.rolbypassrls
        or pg_has_role(owner, b.relowner, 'USAGE') and not b.relforcerowsecurity),
    exists (
        select from pg_policy, unnest(polroles) r
        where polrelid = base and polpermissive and polcmd in ('r', '*')
            and case when r = 0::oid then true else pg_has_role(owner, r, 'USAGE') end
    )
from reads join pg_class b on b.oid = base join pg_namespace n on n.oid = b.relnamespace
    join pg_roles o on o.oid = owner
where b.relkind in ('r', 'p', 'v', 'm', 'f')
"""
_CALLS = """
select distinct v.oid, p.oid::regprocedure::text
from pg_class v join pg_namespace n on n.oid = v.relnamespace
    join pg_rewrite w on w.ev_class = v.oid and w.ev_type = '1'
    join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = w.oid
        and d.refclassid = 'pg_proc'::regclass
    join pg_proc p on p.oid = d.refobjid
where v.relkind = 'v' and n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not has_function_privilege('public', p.oid, 'EXECUTE')
"""
_SEQUENCES = """
select distinct a.adrelid, s.oid::regclass::text, n.nspname, exists (
    select from pg_depend o where o.classid = 'pg_class'::regclass and o.objid = s.oid
        and o.refclassid = 'pg_class'::regclass and o.refobjid = a.adrelid
        and o.deptype in ('a', 'i')
)
from pg_attrdef a
    join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
        and d.refclassid = 'pg_class'::regclass
    join pg_class s on s.oid = d.refobjid
    join pg_namespace n on n.oid = s.relnamespace
where case when s.relkind = 'S'
    then not has_sequence_privilege('public', s.oid, 'USAGE, UPDATE') end
"""
# 8 stands for INSERT. What takes rows by a trigger does with them what it likes.
_CLOSED_TO_ROWS = """
select view from (select distinct unnest(%s::oid[]) as view) as views
where pg_relation_is_updatable(view, false) & 8 = 0
"""
