import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';

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
  /** Whom it runs as, by name and number; as root without it. */
  readonly user?: readonly [name: string, id: number];
}

async function importRoot(tag: string, fill: (root: string) => Promise<void>, { user }: ImportOptions): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'sutaz-image-'));
  try {
    await mkdir(join(root, 'tmp'));
    await fill(root);
    const [name, id] = user ?? ['root', 0];
    await mkdir(join(root, 'etc'));
    await writeFile(join(root, 'etc', 'passwd'), `root:x:0:0::/:/bin/sh\n${name}:x:${id}:${id}::/:/bin/sh\n`);
    const importing = `tar -C "$0" --owner=0 --group=0 -c . | docker import --change "USER $2" - "$1"`;
    await run('sh', ['-c', importing, root, tag, name], { env: dockerEnv });
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

const dockerEnv = { ...process.env, DOCKER_HOST: `unix://${dockerSocket}` };

/** What the engine's own client says, so that the driver is not asked about itself. */
export async function docker(...args: string[]): Promise<string> {
  const { stdout, stderr } = await run('docker', args, { env: dockerEnv });
  return `${stdout}${stderr}`.trim();
}
