import { access, constants, readdir, realpath } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Clock } from '#kernel/clock';
import { compare, fits, parseVersion, type Version } from './python-versions.ts';
import { runTool } from './tool.ts';

export interface Interpreter {
  /** The program itself, not a shim that chooses one. */
  readonly path: string;
  readonly version: Version;
}

/** `hint` is what its name says of its version: enough to try the likely ones first. */
interface Candidate {
  readonly path: string;
  readonly hint: Version | null;
}

export interface Choice {
  readonly chosen: Interpreter | null;
  /** Those looked at that don't fit, for the message. */
  readonly others: readonly Interpreter[];
}

interface ProbeContext {
  readonly env: Readonly<Record<string, string>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * The interpreter for a range: 1. the preferred one, 2. the `python3` that the user gets when typing it, 3. the newest
 * that fits of PATH's `python3.x` and pyenv's versions. Each is asked for its version only when its turn comes.
 */
export async function chooseInterpreter(
  range: string,
  preferred: string | undefined,
  context: ProbeContext,
): Promise<Choice> {
  const others: Interpreter[] = [];
  const tried = new Set<string>();
  for (const { path, hint } of await candidates(preferred, context.env)) {
    if (hint && !mayFit(hint, range)) continue;
    const found = await probe(path, context);
    const program = found && (await realpath(found.path).catch(() => found.path));
    if (!program || tried.has(program)) continue;
    tried.add(program);
    if (fits(found.version, range)) return { chosen: found, others };
    others.push(found);
  }
  return { chosen: null, others };
}

/** `python3.12` says nothing of its patch: any of that line may fit. */
const mayFit = ([major, minor, patch]: Version, range: string): boolean =>
  patch >= 0
    ? fits([major, minor, patch], range)
    : Array.from({ length: 40 }, (_, n) => n).some((n) => fits([major, minor, n], range));

async function candidates(preferred: string | undefined, env: Readonly<Record<string, string>>): Promise<Candidate[]> {
  const folders = (env['PATH'] ?? '').split(delimiter).filter((folder) => folder.startsWith('/'));
  const named: Candidate[] = [];
  for (const folder of folders) {
    for (const name of await entries(folder)) {
      const minor = /^python3\.(\d+)$/.exec(name)?.[1];
      if (minor !== undefined) named.push({ path: join(folder, name), hint: [3, Number(minor), -1] });
    }
  }
  const pyenv = join(env['PYENV_ROOT'] ?? join(env['HOME'] ?? homedir(), '.pyenv'), 'versions');
  for (const name of await entries(pyenv)) {
    const version = /^\d+\.\d+\.\d+$/.test(name) ? parseVersion(name) : null;
    if (version) named.push({ path: join(pyenv, name, 'bin', 'python3'), hint: version });
  }
  const usual = [preferred, ...folders.map((folder) => join(folder, 'python3'))].filter((path) => path !== undefined);
  const newest = (a: Candidate, b: Candidate) => compare(b.hint as Version, a.hint as Version);
  const all = [...usual.map((path) => ({ path, hint: null })), ...named.sort(newest)];
  const present = await Promise.all(
    all.map(({ path }) =>
      access(path, constants.X_OK).then(
        () => true,
        () => false,
      ),
    ),
  );
  return all.filter((_, i) => present[i]);
}

const entries = (folder: string): Promise<string[]> => readdir(folder).catch(() => []);

const question =
  'import sys; print(sys.version.split()[0]); print(getattr(sys, "_base_executable", None) or sys.executable)';

/** Null when it is a shim for a version that isn't chosen, or broken. */
async function probe(path: string, { env, clock, signal }: ProbeContext): Promise<Interpreter | null> {
  const argv = [path, '-I', '-c', question] as const;
  const result = await runTool({ argv, cwd: '/', env, clock, signal }).catch(() => null);
  signal.throwIfAborted();
  const version = result?.code === 0 ? parseVersion(result.stdout[0] ?? '') : null;
  return version ? { path: result?.stdout[1] || path, version } : null;
}
