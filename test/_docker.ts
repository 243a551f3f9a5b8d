import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
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
export const importImage = (tag: string): Promise<void> =>
  importRoot(tag, async (root) => {
    const { stdout } = await run('sh', ['-c', 'command -v busybox']);
    await mkdir(join(root, 'bin'));
    await copyFile(stdout.trim(), join(root, 'bin', 'busybox'));
    for (const name of programs) await symlink('busybox', join(root, 'bin', name));
  });

/** An image of this machine's Node with the libraries that it is linked to, and programs for it in its root. */
export const importNodeImage = (tag: string, files: readonly string[]): Promise<void> =>
  importRoot(tag, async (root) => {
    const { stdout } = await run('ldd', [process.execPath]);
    const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path]) => path as string);
    for (const path of libraries) {
      await mkdir(join(root, dirname(path)), { recursive: true });
      await copyFile(path, join(root, path));
    }
    await mkdir(join(root, 'bin'), { recursive: true });
    await copyFile(process.execPath, join(root, 'bin', 'node'));
    for (const file of files) await copyFile(file, join(root, basename(file)));
  });

async function importRoot(tag: string, fill: (root: string) => Promise<void>): Promise<void> {
  const root = await mkdtemp(join(tmpdir(), 'sutaz-image-'));
  try {
    await mkdir(join(root, 'tmp'));
    await fill(root);
    await run('sh', ['-c', `tar -C "$0" -c . | docker import - "$1"`, root, tag], { env: dockerEnv });
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
