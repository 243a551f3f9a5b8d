import { execFile } from 'node:child_process';
import { access, constants, stat, statfs } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism, freemem, totalmem } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { systemCode } from '#kernel/faults';
import { isRunning, readPlatformFile } from '../home.ts';
import type { HomePaths } from '../home.ts';
import { createClient } from '../http.ts';
import type { Composition, ConfinementFacts, GpuFacts, IssuerFacts } from './context.ts';

/** What the doctor looks at. Null is "not there". Sizes in bytes. */
export interface Facts {
  readonly node: string;
  /** First lines of `--version`. */
  readonly python: string | null;
  readonly pip: string | null;
  readonly uv: string | null;
  readonly npm: string | null;
  readonly disk: { readonly free: number } | null;
  readonly memory: { readonly total: number; readonly free: number; readonly cgroupLimit: number | null };
  readonly cores: number;
  /** The devices that `nvidia-smi` finds, or why it fails. Null without such a program. */
  readonly gpu: { readonly devices: readonly GpuFacts[] } | { readonly error: string } | null;
  readonly confinement: ConfinementFacts;
  /** The issuers of tokens that the configuration names. */
  readonly issuers: readonly IssuerFacts[];
  readonly home: { readonly path: string; readonly writable: boolean; readonly exists: boolean };
  readonly key: { readonly path: string; readonly mode: number } | null;
  readonly port: { readonly number: number; readonly free: boolean };
  readonly platform: {
    readonly url: string;
    readonly pid: number;
    readonly alive: boolean;
    readonly ready: boolean;
  } | null;
}

export async function gatherFacts(
  home: HomePaths,
  port: number,
  env: NodeJS.ProcessEnv,
  { gpus, confinement, issuers }: Pick<Composition, 'gpus' | 'confinement' | 'issuers'>,
): Promise<Facts> {
  const python = await firstLine('python3', ['--version'], env);
  const [pip, uv, npm, gpu, confined, disk, homeFacts, key, free, platform, asked] = await Promise.all([
    python === null ? null : firstLine('python3', ['-m', 'pip', '--version'], env),
    firstLine('uv', ['--version'], env),
    findProgram('npm', env),
    gpus(env).then(
      (devices) => devices && { devices },
      (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
    ),
    confinement(home.root),
    freeSpace(home.root),
    homeFactsOf(home.root),
    stat(home.keyFile).then(
      ({ mode }) => ({ path: home.keyFile, mode: mode & 0o777 }),
      () => null,
    ),
    isPortFree(port),
    platformFacts(home),
    issuers(home.root, env),
  ]);
  const limit = process.constrainedMemory();
  return {
    node: process.version,
    ...{ python, pip, uv, npm, gpu, disk, key, platform },
    // Without a limit the kernel reports none, or a number beyond any memory.
    memory: { total: totalmem(), free: freemem(), cgroupLimit: limit > 0 && limit < totalmem() ? limit : null },
    cores: availableParallelism(),
    confinement: confined,
    issuers: asked,
    home: homeFacts,
    port: { number: port, free },
  };
}

const firstLine = (program: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<string | null> =>
  new Promise((resolve) => {
    execFile(program, args, { env, timeout: 10_000 }, (error, stdout) => {
      resolve(error ? null : (stdout.trim().split('\n')[0] ?? ''));
    });
  });

/** Where a program is. npm takes a second to say its version, and any will do. */
async function findProgram(name: string, env: NodeJS.ProcessEnv): Promise<string | null> {
  for (const folder of (env.PATH ?? '').split(delimiter).filter(Boolean)) {
    const path = join(folder, name);
    const found = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return path;
  }
  return null;
}

/** The home may not exist yet: then its nearest folder that does decides. */
async function nearestFolder(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    const exists = await stat(at).then(
      () => true,
      () => false,
    );
    if (exists || dirname(at) === at) return at;
  }
}

const freeSpace = async (path: string): Promise<{ free: number } | null> =>
  statfs(await nearestFolder(path)).then(
    ({ bavail, bsize }) => ({ free: bavail * bsize }),
    () => null,
  );

async function homeFactsOf(path: string): Promise<Facts['home']> {
  const nearest = await nearestFolder(path);
  const writable = await access(nearest, constants.W_OK | constants.X_OK).then(
    () => true,
    () => false,
  );
  return { path, exists: nearest === path, writable };
}

const isPortFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const server = createServer();
    server.once('error', (error) => resolve(systemCode(error) !== 'EADDRINUSE' && systemCode(error) !== 'EACCES'));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
  });

async function platformFacts(home: HomePaths): Promise<Facts['platform']> {
  const file = await readPlatformFile(home).catch(() => null);
  if (!file) return null;
  const { url, pid } = file;
  const alive = isRunning(file);
  const ready =
    alive &&
    (await createClient({ url, timeoutMs: 2_000 })
      .json('GET', '/readyz')
      .then(
        () => true,
        () => false,
      ));
  return { url, pid, alive, ready };
}
