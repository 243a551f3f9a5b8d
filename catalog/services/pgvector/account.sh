#!/bin/sh
exec sh "$(dirname "$0")/../postgres/account.sh"
