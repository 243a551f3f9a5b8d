import { hasEnded, type ProcessEntry, type Procfs, type ProcessTable } from './_procfs.ts';

/** The environment variable that every instance is started with, and that all it starts inherits. */
export const marker = 'SUTAZ_INSTANCE';

/** The first process of an instance: the one the driver spawned, leader of its own session and group. */
export interface Root {
  readonly id: string;
  readonly pid: number;
  readonly startTicks: number;
  /** The folder of its control group, when it was given one. */
  readonly cgroup?: string;
  /** Those of version 1 that only bound it. */
  readonly limits?: readonly string[];
}

/** Pids with their starts, as seen in earlier scans: a child that has lost every tie since is still known by these. */
export type Seen = Map<number, number>;

/** True while the pid is the process it was, and not a later one of the same number. */
export const isSame = (entry: ProcessEntry | null | undefined, startTicks: number): entry is ProcessEntry =>
  entry?.startTicks === startTicks;

/**
 * The living processes of an instance, the root first. A process belongs to it when
 *
 * 1. it is the root;
 * 2. it is in the root's session (the kernel gives a pid to nobody else while a session is named after it);
 * 3. its parent belongs to it, ended or not;
 * 4. it was seen to belong to it before: a daemon's parent has ended and its session is its own;
 * 5. it was started with the instance's marker in its environment, for a daemon that no scan has seen;
 * 6. the kernel says that it is in the instance's control group.
 *
 * 2 and 3 hold only for as long as the root's pid isn't used again by a stranger.
 */
export function membersOf(
  root: Root,
  table: ProcessTable,
  procfs: Pick<Procfs, 'variable'>,
  seen: Seen,
  grouped: readonly number[] = [],
): ProcessEntry[] {
  const found = new Set<number>();
  const at = table.get(root.pid);
  if (isSame(at, root.startTicks)) found.add(root.pid); // 1
  const reused = at !== undefined && !found.has(root.pid);
  for (const entry of table.values()) {
    const inSession = !reused && entry.session === root.pid; // 2
    const before = seen.get(entry.pid) === entry.startTicks; // 4
    // A marked process is never older than its root, and reading an environment is the dearest of these questions.
    const isMarked = () => entry.startTicks >= root.startTicks && procfs.variable(entry, marker) === root.id; // 5
    if (inSession || before || isMarked()) found.add(entry.pid);
  }
  for (const pid of grouped) if (table.has(pid)) found.add(pid); // 6
  addDescendants(found, table); // 3
  const members = [...found].map((pid) => table.get(pid) as ProcessEntry).filter((entry) => !hasEnded(entry));
  for (const entry of members) seen.set(entry.pid, entry.startTicks);
  return members.sort((a, b) => Number(b.pid === root.pid) - Number(a.pid === root.pid) || a.startTicks - b.startTicks);
}

function addDescendants(found: Set<number>, table: ProcessTable): void {
  const children = new Map<number, number[]>();
  for (const { pid, parent } of table.values()) {
    const siblings = children.get(parent);
    if (siblings) siblings.push(pid);
    else children.set(parent, [pid]);
  }
  // A Set may grow while it is walked: each child is then visited too, and only once.
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child);
}
