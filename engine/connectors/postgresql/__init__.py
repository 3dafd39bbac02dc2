"""PostgreSQL: a login role for each grantee, and privileges on databases, schemas and tables.

docs/postgresql.md says which rights Latchkey's own login needs, what each permission comes to and
how access ends. `sessions` is for connections that nobody else steers, `server` for
what is asked in several places, `names` for people and ids. `acl` is about privileges inside one
database, `statements` carries changes of them out, `trace` remembers them, `roles` is about
membership, `remains` about all else that a login may have. `work` is one look and one `apply`,
`visit` its part in one database, `cleanup` the end of a login. `discovery` is what there is,
`caveats` what of it cannot be used, `doctor` what an operator should know; `connector` is the port.
"""

from engine.connectors.postgresql.connector import PostgreSQL

__all__ = ["PostgreSQL"]
