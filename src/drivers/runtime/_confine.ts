import type { Confinement } from '#contracts/runtime';
import type { ControllerV1 } from '#kernel/cgroups';
import { Fault } from '#kernel/faults';
import { systemTool } from '#kernel/system-tools';
import { landlocked, landlockNeeds, type Landlock } from './_landlock.ts';

/**
 * Joins the groups, then becomes what follows. A process that was moved by the platform could have started others before,
 * outside of them; this one is inside before the first line of the service runs.
 */
const script = `n=$1; shift
while [ "$n" -gt 0 ]; do echo 0 > "$1/cgroup.procs"; shift; n=$((n-1)); done 2>/dev/null
exec "$@"`;

/** What a process may map for writing counts here though it is never touched, so the bound is far from what is used. */
const dataLimit = (memoryBytes: number): number => 2 * memoryBytes + 2 * 2 ** 30;

/**
 * The command before an instance's own that sets its bounds and its user: the shell joins the groups as the platform's
 * user, `prlimit` and `setpriv` (util-linux) do the rest, Perl bounds the files, and each becomes the next, so that the
 * process, its number and its start stay the same.
 */
export function wrapperFor(
  { user, limits, files }: Confinement,
  groups: readonly string[],
  missing: ReadonlySet<ControllerV1>,
  landlock: Landlock | null,
): readonly string[] {
  if (files?.required && landlock === null)
    throw new Fault('NOT_SUPPORTED', `Its files cannot be bounded: that takes ${landlockNeeds}.`);
  const bounded = landlock && files ? landlocked(landlock, files) : [];
  const join = ['/bin/sh', '-c', script, 'sh', String(groups.length), ...groups];
  const isBounded = bounded.length > 0;
  return [...join, ...limitsBySystem(limits, missing, user !== undefined), ...becoming(user, isBounded), ...bounded];
}

function limitsBySystem(
  { memoryBytes, processes }: Confinement['limits'],
  missing: ReadonlySet<ControllerV1>,
  hasUser: boolean,
): readonly string[] {
  const prlimit = systemTool('prlimit');
  if (prlimit === null) return [];
  return [
    prlimit,
    // A dump of its memory would leave its keys on the disk.
    '--core=0',
    ...(missing.has('memory') ? [`--data=${dataLimit(memoryBytes)}`] : []),
    // The kernel counts these by user: with the platform's own, everything else of theirs would count.
    ...(missing.has('pids') && hasUser ? [`--nproc=${processes}`] : []),
    '--',
  ];
}

/** What is left to root where its files are bounded: to open those of others among them. */
const powers = ['--inh-caps=-all', '--bounding-set=-all,+dac_override'];

function becoming(user: Confinement['user'], isBounded: boolean): readonly string[] {
  const setpriv = systemTool('setpriv');
  if (setpriv === null && user) throw new Fault('NOT_SUPPORTED', 'A user of its own needs setpriv (util-linux).');
  if (setpriv === null) return [];
  const without = !user && isBounded && process.getuid?.() === 0 ? powers : [];
  const as = user ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, `--groups=${user.groups.join(',')}`] : [];
  return [setpriv, '--no-new-privs', ...as, ...without, '--'];
}
