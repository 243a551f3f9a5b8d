import { mkdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '#kernel/faults';
import { buildFault, words } from './failures.ts';
import { chooseInterpreter } from './interpreters.ts';
import { parsePipConfig, pipFromEnvironment, uvSettings } from './pip-config.ts';
import { compare, parseVersion } from './python-versions.ts';
import { runTool, type ToolRun } from './tool.ts';
import type { BuildContext } from './types.ts';

/** The version installed when PATH has none. */
const pinned = '0.13.9';
/** The first with all the settings of `pip-config.ts` (UV_DEFAULT_INDEX). */
const oldest = [0, 4, 23] as const;

/** uv, ready to be run: with the user's pip settings and our shared cache. */
export interface Uv {
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
}

export const uvCache = (dir: string): string => join(dir, 'uv-cache');

/** uv of PATH when it is new enough, else our own, installed once by pip from whatever index the user has configured. */
export async function findUv(context: BuildContext, python: string | undefined): Promise<Uv> {
  const { chosen } = await chooseInterpreter('>=3.8', python, context);
  const run = { cwd: context.dir, env: context.env, signal: context.signal, clock: context.clock };
  const program = (await uvOfPath(run)) ?? (await ownUv(context, chosen?.path, run));
  const pip = chosen && (await runTool({ ...run, argv: [chosen.path, '-m', 'pip', 'config', 'list'] }));
  const configured = pip?.code === 0 ? parsePipConfig(pip.stdout) : pipFromEnvironment(context.env);
  return {
    program,
    env: { ...defaults(context), ...context.env, ...uvSettings(configured, context.env), ...fixed(context) },
  };
}

/** The user's own settings go before these. */
const defaults = ({ dir }: BuildContext) => ({
  UV_LINK_MODE: 'hardlink',
  UV_PYTHON_INSTALL_DIR: join(dir, 'pythons'),
  UV_PYTHON_DOWNLOADS: 'never',
});

/** They don't: the cache must be on the file system of the environments, and its output is read by us. */
const fixed = ({ dir }: BuildContext) => ({ UV_CACHE_DIR: uvCache(dir), UV_NO_PROGRESS: '1', NO_COLOR: '1' });

type Run = Omit<ToolRun, 'argv'>;

async function uvOfPath(run: Run): Promise<string | null> {
  const result = await runTool({ ...run, argv: ['uv', '--version'] }).catch(() => null);
  run.signal.throwIfAborted();
  const version = result?.code === 0 ? parseVersion(result.stdout[0] ?? '') : null;
  return version && compare(version, oldest) >= 0 ? 'uv' : null;
}

async function ownUv(context: BuildContext, python: string | undefined, run: Run): Promise<string> {
  const folder = join(context.dir, 'tools', `uv-${pinned}`);
  const program = join(folder, 'bin', 'uv');
  const works = await runTool({ ...run, argv: [program, '--version'] }).catch(() => null);
  run.signal.throwIfAborted();
  if (works?.code === 0) return program;
  if (python === undefined) {
    throw new Fault(
      'START_FAILED',
      'Python environments need Python 3, which was not found in PATH: install python3 (Debian: apt install python3).',
    );
  }
  context.onProgress({ phase: 'installing', what: `uv ${pinned}`, done: 0, unit: 'steps' });
  const temporary = `${folder}.new`;
  await rm(temporary, { recursive: true, force: true });
  await mkdir(temporary, { recursive: true });
  const pip = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--only-binary', ':all:', '--target', temporary];
  try {
    const result = await runTool({ ...run, argv: [python, ...pip, `uv==${pinned}`] });
    if (result.code !== 0) {
      throw buildFault(
        `uv ${pinned}, which makes Python environments,`,
        words(result.stderr.slice(-12)),
        `Install uv yourself, so that it is in PATH, or make "${python} -m pip install uv" work.`,
        context.dir,
      );
    }
    await rm(folder, { recursive: true, force: true });
    await rename(temporary, folder);
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
  return program;
}
