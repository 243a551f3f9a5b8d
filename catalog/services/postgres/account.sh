#!/bin/sh
# Makes a role and a database of the name ACCOUNT, or sets right what is there. PGHOST, PGPORT, PGUSER and PGPASSWORD say where.
set -eu
PATH=$PWD/bin:$PATH
exec psql --no-psqlrc --quiet --tuples-only --set=ON_ERROR_STOP=1 --dbname=postgres <<'SQL' > /dev/null
\set account `printf %s "$ACCOUNT"`
\set secret `printf %s "$ACCOUNT_SECRET"`
SELECT format('CREATE ROLE %I LOGIN', :'account')
  WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'account') \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', :'account', :'secret') \gexec
SELECT format('CREATE DATABASE %I OWNER %I', :'account', :'account')
  WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'account') \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', :'account') \gexec
\connect :account
-- Only the superuser may, and only where the package is installed.
SELECT 'CREATE EXTENSION IF NOT EXISTS vector'
  WHERE EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector') \gexec
SQL
