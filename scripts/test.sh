#!/bin/sh
# `npm test`, on a fresh clone too: sets up, then runs every check until the first that fails. The last line is the
# count of tests, from Vitest's own reports.
set -eu

root=$(CDPATH='' cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
# shellcheck source=scripts/setup.sh
. scripts/setup.sh

heading() { printf '\n== %s\n' "$1"; }

heading 'Setup'
setup_dependencies
setup_console
# npm's binaries first, Node's among them: the same Node for everyone, where npm brought one.
PATH=$root/node_modules/.bin:$PATH
find_node
say "Node $("$NODE" --version), $(uname -sm)"

reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

status=0
# step TITLE COMMAND...: skipped once an earlier one failed.
step() {
  [ "$status" -eq 0 ] || return 0
  title=$1
  shift
  heading "$title"
  "$@" || status=$?
  [ "$status" -eq 0 ] || printf '\n%s failed: %s\n' "$title" "$*" >&2
}
# shellcheck disable=SC2329 # called through step
vitest_project() {
  vitest run --project "$1" --reporter=default --reporter=json --outputFile.json="$reports/$1.json"
}

step 'Format' prettier --check --log-level warn .
step 'Lint' eslint .
step 'Types' npm run --silent typecheck
step 'Import cycles' npm run --silent cycles
step 'Unit tests' vitest_project unit
step 'Integration tests' vitest_project integration

printf '\n'
"$NODE" --conditions=source --disable-warning=ExperimentalWarning scripts/test-summary.ts "$reports" ||
  [ "$status" -ne 0 ] || status=1
exit "$status"
