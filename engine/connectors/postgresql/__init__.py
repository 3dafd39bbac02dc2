"""PostgreSQL: a login role for each grantee, and privileges on databases, schemas and tables.

docs/postgresql.md says which rights Latchkey's own login needs, what each permission comes to and
how access ends. `names` is for people and ids, `acl` for privileges inside one database, `server`
for connections and what is asked in several places, `work` for one look and one `apply`, `doctor`
for what an operator should know; `connector` is the port.
"""

from engine.connectors.postgresql.connector import PostgreSQL

__all__ = ["PostgreSQL"]
