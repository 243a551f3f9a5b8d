import { spawn, type ChildProcess } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { abortFault, throwIfAborted } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { systemCode } from '#kernel/faults';

export interface ToolRun {
  readonly argv: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Where to note that a tool is at work, so that a later platform can end it should this one be killed. */
  readonly note?: string;
  readonly onLine?: (line: string, from: 'stdout' | 'stderr') => void;
}

export interface ToolResult {
  /** Null when a signal ended it. */
  readonly code: number | null;
  readonly stdout: readonly string[];
  readonly stderr: readonly string[];
}

/** How many lines are kept of each stream: the last ones, where tools put what went wrong. */
const keptLines = 400;
/** How long a tool may take to end after SIGTERM. */
const graceMs = 3_000;
const marker = 'SUTAZ_BUILD';

/**
 * Runs a tool to its end, in a process group of its own, so that an abort ends what it started too. Rejects with the
 * system's error when it can't be run, and on abort, once the whole group was told to end and the tool has.
 */
export async function runTool(run: ToolRun): Promise<ToolResult> {
  throwIfAborted(run.signal);
  const [command, ...args] = run.argv;
  const child = spawn(command, args, {
    cwd: run.cwd,
    env: { ...run.env, [marker]: run.cwd },
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const stdout = collect(child.stdout, (line) => run.onLine?.(line, 'stdout'));
  const stderr = collect(child.stderr, (line) => run.onLine?.(line, 'stderr'));
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code));
  });
  // Of a tool that could not be run nobody reads what it said, and without descriptors it has no streams at all.
  for (const unread of [ended, stdout, stderr]) unread.catch(() => undefined);
  const stop = stopper(child, run.clock);
  run.signal.addEventListener('abort', stop.start, { once: true });
  try {
    if (run.note !== undefined && child.pid !== undefined) await writeFile(run.note, String(child.pid));
    const code = await ended;
    if (run.signal.aborted) throw abortFault(run.signal);
    return { code, stdout: await stdout, stderr: await stderr };
  } catch (error) {
    // A full disk is where the note fails first: the tool must not go on alone.
    stop.start();
    await ended.catch(() => undefined);
    throw error;
  } finally {
    run.signal.removeEventListener('abort', stop.start);
    stop.cancel();
    if (run.note !== undefined) await rm(run.note, { force: true });
  }
}

/** Ends the tool that a killed platform left at work in `cwd`, by its note. */
export async function endLeftTool(note: string, cwd: string): Promise<void> {
  const pid = Number(await readFile(note, 'utf8').catch(() => ''));
  if (!Number.isSafeInteger(pid) || pid <= 1) return;
  // The pid may be someone else's by now. Without /proc it can't be known, and is left alone.
  const environ = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
  if (environ.split('\0').includes(`${marker}=${cwd}`)) signalGroup(pid, 'SIGKILL');
}

function stopper(child: ChildProcess, clock: Clock) {
  let cancel: (() => void) | undefined;
  return {
    start() {
      if (child.pid === undefined || cancel) return;
      signalGroup(child.pid, 'SIGTERM');
      const { pid } = child;
      cancel = clock.after(graceMs, () => signalGroup(pid, 'SIGKILL'));
    },
    cancel: () => cancel?.(),
  };
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch (error) {
    if (systemCode(error) !== 'ESRCH') throw error;
  }
}

async function collect(stream: Readable, onLine: (line: string) => void): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of createInterface({ input: stream, crlfDelay: Infinity })) {
    lines.push(line);
    if (lines.length > keptLines) lines.shift();
    onLine(line);
  }
  return lines;
}
