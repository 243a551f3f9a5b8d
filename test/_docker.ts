import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { copyFile, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { exited, until } from './_processes.ts';

const run = promisify(execFile);

/** Programs of the image, all of them names of one. */
const programs = ['sh', 'sleep', 'env', 'echo', 'cat', 'tail', 'nc', 'httpd', 'touch'];

export const dockerSocket = (process.env['DOCKER_HOST'] ?? '').replace(/^unix:\/\//, '') || '/var/run/docker.sock';

/** Why containers cannot be tested here; null where they can. */
export async function whyNoDocker(): Promise<string | null> {
  if (!(await answers(dockerSocket))) return `no Docker engine answers at ${dockerSocket}`;
  const busybox = await run('sh', ['-c', 'command -v busybox']).catch(() => null);
  return busybox ? null : 'there is no busybox to make an image of (Debian: busybox-static)';
}

const answers = (socketPath: string): Promise<boolean> =>
  new Promise((resolve) => {
    const asking = request({ socketPath, path: '/_ping' }, (res) => {
      res.resume();
      resolve(res.statusCode === 200);
    });
    asking.on('error', () => resolve(false));
    asking.end();
  });

/** A service that serves a folder out of a container; `lines` are more of its way to run. */
export const boxedDefinition = (image: string, lines: readonly string[]): string => `id: boxed
name: Boxed
summary: A folder served out of a container
category: tool
run:
  docker:
    image: ${image}
    port: 8000
    readOnly: true
${lines.map((line) => `    ${line}\n`).join('')}
health: { http: /index.html, startupTimeout: 20s }
resources: { memory: 8MiB }
`;

/** An image of nothing but a static busybox. No registry is asked. */
export const importImage = (tag: string, options: ImportOptions = {}): Promise<void> =>
  importRoot(
    tag,
    async (root) => {
      const { stdout } = await run('sh', ['-c', 'command -v busybox']);
      await mkdir(join(root, 'bin'));
      await copyFile(stdout.trim(), join(root, 'bin', 'busybox'));
      for (const name of programs) await symlink('busybox', join(root, 'bin', name));
    },
    options,
  );

/** An image of this machine's Node with the libraries that it is linked to, and programs for it in its root. */
export const importNodeImage = (tag: string, files: readonly string[], options: ImportOptions = {}): Promise<void> =>
  importRoot(
    tag,
    async (root) => {
      const { stdout } = await run('ldd', [process.execPath]);
      const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path as string);
      for (const path of libraries) {
        await mkdir(join(root, dirname(path)), { recursive: true });
        await copyFile(path, join(root, path));
      }
      await mkdir(join(root, 'bin'), { recursive: true });
      await copyFile(process.execPath, join(root, 'bin', 'node'));
      for (const file of files) await copyFile(file, join(root, basename(file)));
    },
    options,
  );

interface ImportOptions {
  /** The engine's; the one of this machine without it. */
  readonly socket?: string;
  /** Bytes that it has beyond its programs, and that cannot be packed. */
  readonly bytes?: number;
  /** Whom it runs as, by name and number; as root without it. */
  readonly user?: readonly [name: string, id: number];
}

async function importRoot(
  tag: string,
  fill: (root: string) => Promise<void>,
  { user, socket, bytes = 0 }: ImportOptions,
): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'sutaz-image-'));
  try {
    await mkdir(join(root, 'tmp'));
    await fill(root);
    if (bytes > 0) await writeFile(join(root, 'filling'), randomBytes(bytes));
    const [name, id] = user ?? ['root', 0];
    await mkdir(join(root, 'etc'));
    await writeFile(join(root, 'etc', 'passwd'), `root:x:0:0::/:/bin/sh\n${name}:x:${id}:${id}::/:/bin/sh\n`);
    const importing = `tar -C "$0" --owner=0 --group=0 -c . | docker import --change "USER $2" - "$1"`;
    await run('sh', ['-c', importing, root, tag, name], { env: envOf(socket) });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

const envOf = (socket = dockerSocket) => ({ ...process.env, DOCKER_HOST: `unix://${socket}` });

/** What the engine's own client says, so that the driver is not asked about itself. */
export const docker = (...args: string[]): Promise<string> => dockerAt(dockerSocket)(...args);

export const dockerAt =
  (socket: string) =>
  async (...args: string[]): Promise<string> => {
    const { stdout, stderr } = await run('docker', args, { env: envOf(socket) });
    return `${stdout}${stderr}`.trim();
  };

/** Why an engine of one's own cannot be had here; null where it can. */
export async function whyNoOwnEngine(): Promise<string | null> {
  if (process.getuid?.() !== 0) return 'an engine of its own needs root';
  const found = await run('sh', ['-c', 'command -v dockerd && command -v docker && command -v busybox']).catch(
    () => null,
  );
  return found ? null : 'there is no dockerd (Debian: docker.io), docker or busybox (busybox-static)';
}

export interface OwnEngine {
  readonly socket: string;
  readonly docker: (...args: string[]) => Promise<string>;
  start(): Promise<void>;
  /** As when it crashes: what it runs is not told. */
  kill(): Promise<void>;
  /** It takes connections, and says nothing on them, until the function that it returns is called. */
  hang(): () => void;
  close(): Promise<void>;
}

interface OwnEngineOptions {
  readonly flags?: readonly string[];
  /** A disk of its own for what it keeps, so large. */
  readonly dataBytes?: number;
}

/** An engine beside the machine's, which may be killed. It leaves the machine's firewall alone, and so the other's rules. */
export async function ownEngine({ flags = [], dataBytes }: OwnEngineOptions = {}): Promise<OwnEngine> {
  const dir = await mkdtemp(join(tmpdir(), 'sutaz-dockerd-'));
  const socket = join(dir, 'docker.sock');
  const at = (name: string) => join(dir, name);
  const args = [
    ...['--host', `unix://${socket}`, '--data-root', at('data'), '--exec-root', at('exec'), '--pidfile', at('pid')],
    ...['--iptables=false', '--ip-masq=false', '--bridge=none', ...flags],
  ];
  await mkdir(at('data'));
  if (dataBytes !== undefined) await run('mount', ['-t', 'tmpfs', '-o', `size=${dataBytes}`, 'tmpfs', at('data')]);
  let child: ChildProcess | null = null;
  const end = async (signal: NodeJS.Signals) => {
    if (!child) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
    child = null;
  };
  const start = async () => {
    // What is left of one that was killed keeps the next from starting.
    for (const name of ['pid', 'exec/containerd/containerd.pid']) await rm(at(name), { force: true });
    child = spawn('dockerd', args, { stdio: 'ignore' });
    await until(() => answers(socket), 'the engine to answer', 60_000);
  };
  return {
    socket,
    docker: dockerAt(socket),
    start,
    async kill() {
      const below = Number(await readFile(at('exec/containerd/containerd.pid'), 'utf8'));
      await end('SIGKILL');
      // It goes with its engine, a little later.
      await until(() => exited(below), 'what the engine stands on to end');
    },
    hang() {
      child?.kill('SIGSTOP');
      return () => void child?.kill('SIGCONT');
    },
    async close() {
      // Only an engine ends what lives on without it.
      if (!child) await start();
      const left = (await dockerAt(socket)('ps', '-aq')).split('\n').filter(Boolean);
      if (left.length > 0) await dockerAt(socket)('rm', '-f', ...left);
      await end('SIGTERM');
      // The disk of its own, and what an engine that was killed has mounted there.
      for (let left = 2; left > 0; left--) await run('umount', [at('data')]).catch(() => undefined);
      await rm(dir, { recursive: true, force: true });
    },
  };
}
