# shellcheck shell=sh
# What a checkout needs before anything runs. Sourced by ./sutaz and scripts/test.sh, with `root` set; each check costs
# a few milliseconds when there is nothing to do, because every command of the CLI comes through here.

# `npm ci` empties node_modules, so that neither the lock nor the log can live there.
setup_dir=${root:?}/.setup
setup_lock=$setup_dir/lock
: "${SUTAZ_SETUP_WAIT:=900}" # seconds to wait for another setup

# Where Node keeps the compiled form of the sources.
compiled=$root/node_modules/.cache/sutaz

say() { printf '%s\n' "$*" >&2; }

fail() {
  say "sutaz: $*"
  exit 1
}

# newer A B: whether A was written after B, or B is missing. (`test -nt` is not in every sh.)
newer() { [ ! -e "$2" ] || [ -n "$(find "$1" -newer "$2" -print 2>/dev/null | head -n 1)" ]; }

dependencies_stale() { newer "$root/package-lock.json" "$root/node_modules/.package-lock.json"; }

console_stale() {
  [ -d "$root/console/src" ] || return 1
  newer "$root/console/src" "$root/console/dist/index.html" ||
    newer "$root/console/index.html" "$root/console/dist/index.html"
}

setup_dependencies() {
  dependencies_stale || return 0
  once dependencies_stale install_dependencies || exit 1
}

setup_console() {
  console_stale || return 0
  once console_stale build_console
}

# The platform that compiles its sources keeps what the compiler took, some 40 MB, for as long as it runs: so a process
# of its own compiles them first. Without it everything works, only larger.
setup_compiled() {
  newer "$root/src" "$compiled/.warm" || return 0
  for source in main.ts 'cli.ts up --help'; do
    # shellcheck disable=SC2086 # the words after the file are its arguments
    (cd "$root/src" && "$NODE" --conditions=source --disable-warning=ExperimentalWarning $source) >/dev/null 2>&1 || :
  done
  mkdir -p "$compiled" && touch "$compiled/.warm"
}

install_dependencies() {
  command -v npm >/dev/null 2>&1 ||
    fail 'npm is needed to install the dependencies. Install Node.js, which brings it: https://nodejs.org (Debian: apt install npm).'
  why='the lock is newer than what is installed'
  [ -e "$root/node_modules/.package-lock.json" ] || why=once
  # A user's NODE_ENV=production must not leave out the console's build tools or Node's own binary.
  logged "Installing dependencies ($why)..." npm ci --include=dev --include=optional || return 1
  # A lock dated in the future (a clock that was wrong, an archive) must not mean an installation at every command.
  dependencies_stale || return 0
  touch -r "$root/package-lock.json" "$root/node_modules/.package-lock.json"
}

build_console() {
  why='its sources changed'
  [ -e "$root/console/dist/index.html" ] || why=once
  logged "Building the console ($why)..." npm run build --workspace console || return 1
  touch "$root/console/dist/index.html"
}

# logged MESSAGE COMMAND...: runs it in the checkout, quietly; what it said is kept, and shown when it failed.
logged() {
  say "$1"
  shift
  if (cd "$root" && "$@") >"$setup_dir/setup.log" 2>&1 </dev/null; then return 0; fi
  tail -n 30 "$setup_dir/setup.log" >&2
  say "sutaz: \`$*\` failed. All it said is in $setup_dir/setup.log"
  return 1
}

# once STALE WORK: does the work under a lock, unless another setup did it while we waited.
once() {
  mkdir -p "$setup_dir" || fail "cannot write to $root."
  take_lock
  trap 'rm -rf "$setup_lock"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  status=0
  if "$1"; then "$2" || status=1; fi
  rm -rf "$setup_lock"
  trap - EXIT INT TERM HUP
  return "$status"
}

# The lock is a folder, since mkdir is atomic everywhere, with its holder's process id in it. A holder that is gone is
# replaced in place: only one waiter can make `lock/taking`, and it looks again before it takes over, so that a lock
# which was given back and taken anew in between is never stolen.
take_lock() {
  waited=0
  until mkdir "$setup_lock" 2>/dev/null; do
    if holder_gone && mkdir "$setup_lock/taking" 2>/dev/null; then
      if holder_gone; then
        echo $$ >"$setup_lock/pid"
        rmdir "$setup_lock/taking"
        return 0
      fi
      rmdir "$setup_lock/taking" 2>/dev/null || :
    fi
    [ "$waited" -ne 1 ] || say 'Waiting for another setup of this checkout to end...'
    [ "$waited" -lt "$SUTAZ_SETUP_WAIT" ] ||
      fail "another setup (process $(cat "$setup_lock/pid" 2>/dev/null || echo unknown)) has not ended. If none is running, remove $setup_lock"
    sleep 1
    waited=$((waited + 1))
  done
  echo $$ >"$setup_lock/pid"
}

holder_gone() {
  if read -r holder 2>/dev/null <"$setup_lock/pid"; then
    # Another user's process cannot be signalled but can be seen.
    ! kill -0 "$holder" 2>/dev/null && ! ps -p "$holder" >/dev/null 2>&1
  else
    # Between making the folder and writing the id lies an instant: a lock that stays without one was abandoned.
    [ -d "$setup_lock" ] && [ "$waited" -ge 5 ]
  fi
}

# Sets NODE to the machine's node when it is 24 or newer, else to the one that npm brought.
find_node() {
  for NODE in node "$root/node_modules/.bin/node"; do
    version=$("$NODE" --version 2>/dev/null) || continue
    version=${version#v}
    [ "${version%%.*}" -ge 24 ] 2>/dev/null && return 0
  done
  fail "Node.js 24 or newer is needed, and npm brought none for this machine ($(uname -sm)). Install it: https://nodejs.org"
}
