import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { closeSync, fstatSync, ftruncateSync, mkdirSync, openSync, readFileSync, statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { sleep } from '#kernel/abort';
import { Fault } from '#kernel/faults';
import { placeFault } from '#kernel/place-fault';
import { formatDuration } from '#kernel/quantities';
import { readPlatformFile } from '../home.ts';
import { createClient } from '../http.ts';
import type { Context } from './context.ts';
import { CliFailure, exitCodes } from './failure.ts';
import type { ExitCode } from './failure.ts';
import { progressLine } from './progress.ts';
import type { Started, StartOptions } from './up.ts';

const pollMs = 100;
/** Longer than any start should take; the first one makes folders, keys and a database, and no more. */
const patienceMs = 120_000;
const largestOutput = 1 << 20;

/** Starts the platform as a process of its own and resolves when it is ready. Whatever ends the wait ends the process too. */
export async function detach(start: StartOptions, context: Context): Promise<Started> {
  const { clock, home } = context;
  const signal = context.interrupt();
  const output = openOutput(home.logs, home.output);
  const child = launch(start, context, output.fd);
  closeSync(output.fd);
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, by) => resolve(by ? `ended by ${by}` : `exit code ${code}`));
  });
  const line = progressLine(context, clock);
  const begun = clock.now();
  try {
    for (;;) {
      const how = await Promise.race([ended, sleep(clock, pollMs, signal)]);
      if (typeof how === 'string')
        throw died(child, how, readFileSync(home.output).subarray(output.before), home.output);
      const url = await readyUrl(child, context);
      if (url !== null) return { url, pid: child.pid ?? 0 };
      const waited = clock.now() - begun;
      if (waited > patienceMs)
        throw new Fault('TIMEOUT', `It is not ready after ${formatDuration(waited)}. See ${home.output}.`);
      line.show(`Starting ${'.'.repeat(1 + Math.floor(waited / 500))}`, 'Starting');
    }
  } catch (error) {
    child.kill('SIGTERM');
    throw error;
  } finally {
    line.clear();
    child.unref();
  }
}

/** Appends, since a second `up` on this home must not wipe what the first one says; an old one that grew is emptied. */
export function openOutput(folder: string, file: string): { readonly fd: number; readonly before: number } {
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    const fd = openSync(file, 'a', 0o600);
    if (fstatSync(fd).size > largestOutput) ftruncateSync(fd);
    return { fd, before: fstatSync(fd).size };
  } catch (error) {
    throw placeFault(dirname(folder), error);
  }
}

function launch(start: StartOptions, { composition, env }: Context, output: number): ChildProcess {
  const [program, ...args] = composition.self;
  const argv = [...args, 'up', '--foreground-child', ...startArguments(start)];
  // In the home folder, so that it keeps no other folder busy.
  return spawn(program, argv, { cwd: start.home, env: { ...env }, detached: true, stdio: ['ignore', output, output] });
}

/** The same choices for another process. */
export function startArguments({ home, port, memoryBytes, configFile }: StartOptions): string[] {
  return [
    ...['--home', home],
    ...(port === undefined ? [] : [`--port=${port}`]),
    ...(memoryBytes === undefined ? [] : [`--memory=${memoryBytes}`]),
    ...(configFile === undefined ? [] : [`--config=${configFile}`]),
  ];
}

/** The child's address once it is ready. A platform.json of another process is one left behind. */
async function readyUrl(child: ChildProcess, { home }: Context): Promise<string | null> {
  const file = await readPlatformFile(home);
  if (!file || file.pid !== child.pid) return null;
  return createClient({ url: file.url, timeoutMs: 2_000 })
    .json('GET', '/readyz')
    .then(
      () => file.url,
      () => null,
    );
}

/** Of what a process said. */
export const lastLines = (said: Uint8Array): string[] =>
  Buffer.from(said).toString('utf8').trim().split('\n').slice(-20);

/** Bytes below which a disk has no room for a word more. */
const fullBytes = 64 * 1024;

function died(child: ChildProcess, how: string, said: Uint8Array, file: string): CliFailure {
  const lines = lastLines(said);
  const { bavail, bsize } = statfsSync(file);
  if (said.length === 0 && bavail * bsize < fullBytes) {
    const message = `The disk of ${file} is full, and the platform ended while it started (${how}): free some space.`;
    return new CliFailure(exitCodes.failed, message);
  }
  const known: readonly ExitCode[] = [exitCodes.usage, exitCodes.conflict];
  const code = known.find((each) => each === child.exitCode) ?? exitCodes.failed;
  // What the child's own command line said is the message; a crash is shown as it stands, with where to look.
  const last = lines.at(-1) ?? '';
  const own = last.startsWith('sutaz: ') ? last.slice('sutaz: '.length) : undefined;
  return new CliFailure(
    code,
    own ?? `The platform ended while it started (${how}):\n${lines.join('\n')}\nSee also ${file}.`,
  );
}
