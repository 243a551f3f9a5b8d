#!/bin/sh
# Makes a user and a virtual host of the name ACCOUNT, or sets right what is there.
set -eu
read -r bin < bin

ask() {
  "$bin/rabbitmqctl" --quiet --node sutaz@localhost "$@"
}

ask list_vhosts name | grep -qx "$ACCOUNT" || ask add_vhost "$ACCOUNT"
# The password comes by the input: arguments are seen by everyone on the machine.
if ! printf '%s\n' "$SECRET" | ask change_password "$ACCOUNT" > /dev/null 2>&1; then
  printf '%s\n' "$SECRET" | ask add_user "$ACCOUNT"
fi
ask set_permissions --vhost "$ACCOUNT" "$ACCOUNT" '.*' '.*' '.*'
