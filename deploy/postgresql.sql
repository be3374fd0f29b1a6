-- Two roles and one database: who may change the schema is not who serves people.
--
--   psql -v owner_password=… -v app_password=… -f deploy/postgresql.sql     (as the cluster's superuser, once)
--
-- portal_owner owns the tables; `portal migrate` signs in as it (PORTAL_DATABASE_OWNER_URL) and grants portal_app what
-- the portal needs. portal_app is what the portal signs in as (PORTAL_DATABASE_URL): it can neither change a table nor
-- take away the triggers that keep the audit record append-only.
CREATE ROLE portal_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE portal_app LOGIN PASSWORD :'app_password';
CREATE DATABASE portal OWNER portal_owner TEMPLATE template0 ENCODING 'UTF8';
REVOKE ALL ON DATABASE portal FROM PUBLIC;
GRANT CONNECT, TEMPORARY ON DATABASE portal TO portal_app;
