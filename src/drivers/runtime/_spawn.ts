import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, fchownSync, mkdirSync, openSync, statSync } from 'node:fs';
import { delimiter, dirname, resolve } from 'node:path';
import type { InstanceSpec } from '#contracts/runtime';
import { Fault, systemCode, toFault } from '#kernel/faults';
import { marker } from './_members.ts';

/**
 * Starts the first process of an instance, in a session and group of its own, so that no signal meant for the platform
 * (Ctrl-C, the end of a terminal) reaches it. It writes to its log file itself: with a pipe to the platform it would die
 * of SIGPIPE when the platform is killed. O_APPEND lets others truncate the file under it. `wrapper` is a command that
 * becomes the spec's own once it has set its bounds.
 */
export async function spawnDetached(spec: InstanceSpec, wrapper: readonly string[] = []): Promise<SpawnedProcess> {
  const [command = '', ...args] = [...wrapper, ...spec.argv] as string[];
  const log = openLog(spec, spec.logFile);
  const opened = [log];
  try {
    // A wrapper finds out too late: it would be told in the log alone.
    if (wrapper.length > 0) checkProgram(spec);
    const errors = spec.errorFile === undefined ? log : opened[opened.push(openLog(spec, spec.errorFile)) - 1];
    const { user } = spec.confine ?? {};
    // A service may open them again, as /dev/stdout.
    if (user) for (const file of opened) fchownSync(file, user.uid, user.gid);
    const input = spec.inputFile === undefined ? 'ignore' : opened[opened.push(openSync(spec.inputFile, 'r')) - 1];
    const child = spawn(command, args, {
      cwd: spec.cwd,
      env: { ...spec.env, [marker]: spec.id },
      detached: true,
      stdio: [input, log, errors],
    });
    if (child.pid === undefined) throw await failureOf(child);
    child.on('error', () => undefined);
    child.unref();
    return child as SpawnedProcess;
  } catch (error) {
    throw startFault(spec, error);
  } finally {
    for (const file of opened) closeSync(file);
  }
}

export type SpawnedProcess = ChildProcess & { readonly pid: number };

function openLog(spec: InstanceSpec, file: string): number {
  try {
    // Its own folder, and no further: Node's recursive form never ends where a parent can't have children (/proc).
    if (!isFolder(dirname(file))) mkdirSync(dirname(file));
    // For the owner alone: a service may write prompts, or a key, into its log.
    return openSync(file, 'a', 0o600);
  } catch (error) {
    const fault = toFault(error);
    if (fault.code === 'DISK_FULL') throw fault;
    throw new Fault('START_FAILED', `${spec.unit}: its log file ${file} cannot be opened (${systemCode(error)}).`, {
      cause: error,
    });
  }
}

/** Throws as the system would when it is asked to run the command. */
function checkProgram({ argv: [command = ''], env, cwd }: InstanceSpec): void {
  const folders = command.includes('/') ? [cwd] : (env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin').split(delimiter);
  const files = folders.map((folder) => resolve(cwd, folder, command));
  const found = files.filter((file) => statSync(file, { throwIfNoEntry: false })?.isFile());
  if (found.length === 0) throw Object.assign(new Error(`${command} was not found`), { code: 'ENOENT' });
  if (!found.some(mayExecute)) throw Object.assign(new Error(`${command} may not be run`), { code: 'EACCES' });
}

function mayExecute(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

async function failureOf(child: ChildProcess): Promise<unknown> {
  const [error] = (await once(child, 'error').catch((thrown: unknown) => [thrown])) as unknown[];
  return error;
}

/** What each refusal of the system means for whoever wrote the definition. */
function startFault(spec: InstanceSpec, error: unknown): Fault {
  const [command = ''] = spec.argv;
  const fail = (why: string) => new Fault('START_FAILED', `${spec.unit}: ${why}`, { cause: error });
  const code = systemCode(error);
  if (code === 'ENOENT' && !isFolder(spec.cwd))
    return fail(`its working folder ${spec.cwd} does not exist: create it.`);
  const where = command.includes('/') ? '' : ` in PATH (${spec.env['PATH'] ?? 'which is not set'})`;
  if (code === 'ENOENT') {
    return fail(`the command "${command}" was not found${where}: install it, or correct "command" in the definition.`);
  }
  if (code === 'EACCES') return fail(`the command "${command}" may not be executed: check its permissions (chmod +x).`);
  if (code === 'EAGAIN' || code === 'EMFILE' || code === 'ENFILE' || code === 'ENOMEM') {
    return fail(`the system refused one more process (${code}): check the limits with "ulimit -a", or stop something.`);
  }
  if (code === 'E2BIG')
    return fail('its arguments and environment are larger than the system allows: make them shorter.');
  return fail(`the command "${command}" could not be started (${code ?? String(error)}).`);
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
