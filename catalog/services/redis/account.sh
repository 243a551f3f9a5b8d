#!/bin/sh
# Makes a user of the name ACCOUNT with a database of its own, or sets right what is there, and says which database it is.
# REDISCLI_AUTH is the password of the administrator.
set -eu

ask() {
  redis-cli --user sutaz --no-auth-warning -h "$HOST" -p "$PORT" "$@"
}

users=$(ask ACL LIST)
number_of() { sed -n "s/^user $1 .*+select|\([0-9]*\).*/\1/p"; }
database=$(printf '%s\n' "$users" | number_of "$ACCOUNT")
if [ -z "$database" ]; then
  last=$(printf '%s\n' "$users" | number_of '[^ ]*' | sort -n | tail -n 1)
  database=$((${last:-0} + 1))
fi

# By its input: arguments are seen by everyone on the machine. Whatever would reach another database is left out.
answer=$(ask <<EOF
ACL SETUSER $ACCOUNT reset on >$ACCOUNT_SECRET ~* &* +@all -@admin -flushall -swapdb -move -copy -migrate -select +select|$database
ACL SAVE
EOF
)
if [ "$(printf '%s' "$answer" | tr -d '\n')" != OKOK ]; then
  echo "$answer" >&2
  exit 1
fi
echo "database=$database"
