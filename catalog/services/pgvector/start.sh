#!/bin/sh
# As PostgreSQL, with the server of the package in BIN.
exec sh "$(dirname "$0")/../postgres/start.sh"
