#!/bin/sh
# Makes the cluster at the first start, then becomes the server. HOST, PORT and SECRET come from the definition, and BIN, a
# pattern, where it brings a server of its own.
set -eu
umask 077

# BIN stands without quotes, since it is a pattern. Debian keeps its servers out of the PATH, a folder for each version.
if [ -n "${BIN:-}" ]; then
  found=$(ls -d $BIN/postgres)
else
  found=$(command -v postgres || ls -d /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -n 1)
fi
if [ -z "$found" ]; then
  echo 'PostgreSQL is not on this machine. To have it: apt install postgresql, or brew install postgresql.' >&2
  exit 127
fi
bin=$(dirname "$(readlink -f "$found")")

# It refuses to be root, and a user without a name, which a confined service has. In a user namespace of its own it is
# neither: its files stay whose they are, and it has no rights but to them.
if [ "$(id -u)" = 0 ] || ! id -un > /dev/null 2>&1; then
  exec unshare --user --map-user="$(id -u postgres 2>/dev/null || id -u nobody)" sh "$0"
fi

if [ ! -d cluster ]; then
  # In another folder first, so that one that was killed half-way leaves none that looks whole.
  rm -rf cluster.new
  printf '%s' "$SECRET" > secret.new
  "$bin/initdb" --pgdata=cluster.new --username=sutaz --pwfile=secret.new --auth=scram-sha-256 \
    --encoding=UTF8 --locale=C --data-checksums > initdb.log || { cat initdb.log >&2; exit 1; }
  rm -f secret.new initdb.log
  mv cluster.new cluster
fi

# For account.sh: the client that belongs to the server.
ln -sfn "$bin" bin

# Reached by its port only. What it may take of the memory is small: many services have little in it each.
unset SECRET
exec "$bin/postgres" -D cluster -p "$PORT" -c listen_addresses="$HOST" -c unix_socket_directories= \
  -c shared_buffers=32MB -c max_connections=200 -c log_line_prefix='%t '
