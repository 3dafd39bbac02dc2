"""PostgreSQL: a login role for each grantee, and privileges on databases, schemas and tables.

docs/postgresql.md says which rights Latchkey's own login needs, what each permission comes to and
how access ends. `sessions` is for connections that nobody else steers, `names` for
people and ids, `acl` for privileges inside one database, `remains` for all else that a login may
have, `roles` for membership, `server` for what is asked in several places, `work` for one look and
one `apply`, `cleanup` for the end of a login, `discovery` for what there is, `doctor` for what an
operator should know; `connector` is the port.
"""

from engine.connectors.postgresql.connector import PostgreSQL

__all__ = ["PostgreSQL"]
