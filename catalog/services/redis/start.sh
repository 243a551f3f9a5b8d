#!/bin/sh
# Writes what Redis is to know where only its user can read it, then becomes Redis. HOST, PORT and SECRET come from the definition.
set -eu
umask 077

# The accounts of consumers stay as they were: some of them may run while it starts again.
accounts=$(grep -v -e '^user default ' -e '^user sutaz ' users.acl 2>/dev/null || true)
printf '%s\n' 'user default off' "user sutaz on >$SECRET ~* &* +@all" ${accounts:+"$accounts"} > users.acl.new
mv users.acl.new users.acl

cat > redis.conf <<EOF
bind $HOST
port $PORT
aclfile users.acl
databases 128
appendonly yes
EOF

unset SECRET
exec redis-server redis.conf
