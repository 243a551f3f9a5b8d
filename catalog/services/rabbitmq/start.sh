#!/bin/sh
# Becomes RabbitMQ. HOST and PORT come from the definition.
set -eu
umask 077

# Debian's own command changes its user, which could not come in here.
server=$(ls -d /usr/lib/rabbitmq/bin/rabbitmq-server 2>/dev/null || command -v rabbitmq-server || true)
if [ -z "$server" ]; then
  echo 'RabbitMQ is not on this machine. To have it: apt install rabbitmq-server, or brew install rabbitmq.' >&2
  exit 127
fi
dirname "$server" > bin.new
mv bin.new bin

# Its nodes speak to its command line on a port of their own, which nobody hands out: far from those that are.
if [ "$PORT" -gt 32767 ]; then distance=-20000; else distance=20000; fi
export RABBITMQ_DIST_PORT=$((PORT + distance))
export RABBITMQ_NODE_IP_ADDRESS="$HOST" RABBITMQ_NODE_PORT="$PORT" RABBITMQ_NODENAME=sutaz@localhost
export RABBITMQ_MNESIA_BASE="$PWD/mnesia" RABBITMQ_LOG_BASE="$PWD" RABBITMQ_LOGS=-
export RABBITMQ_CONFIG_FILE="$PWD/rabbitmq" RABBITMQ_ENABLED_PLUGINS_FILE="$PWD/plugins"
# Loopback only, one scheduler, and no spinning while there is nothing to do.
export ERL_EPMD_ADDRESS=127.0.0.1
export RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+S 1:1 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}'
# The user that every installation has, with a password that everyone knows.
printf '%s\n' 'default_user = sutaz' "default_pass = $SECRET" 'loopback_users = none' > rabbitmq.conf
unset SECRET
exec "$server"
