-- What the database of compose.yaml does at its first start, as its superuser: the two roles of docs/running.md, one
-- that owns the schema, and one that runs.
\set owner `cat /run/secrets/owner_password`
\set runner `cat /run/secrets/runner_password`
CREATE ROLE latchkey_owner LOGIN PASSWORD :'owner';
CREATE ROLE latchkey LOGIN PASSWORD :'runner';
CREATE DATABASE latchkey;
REVOKE ALL ON DATABASE latchkey FROM PUBLIC;
GRANT CONNECT, CREATE ON DATABASE latchkey TO latchkey_owner;
GRANT CONNECT ON DATABASE latchkey TO latchkey;
