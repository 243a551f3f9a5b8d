import { execFile, execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { openEnvironments, type Environments } from '#runtime/environments/environments';
import { runScript } from './_processes.ts';

const run = promisify(execFile);
const never = new AbortController().signal;
const node = (...packages: string[]) => ({ packages, overrides: {}, allowBuilds: [], omitOptional: false });
const python = (...packages: string[]) => ({ version: '>=3.8', packages });

let dir: string;
let environments: Environments;
const open = (folder: string, more: Record<string, string> = {}) =>
  openEnvironments({ dir: folder, log: silentLogger, clock: systemClock, env: { ...process.env, ...more } });
const folders = (folder: string) => readdirSync(folder).filter((name) => /^(node|python)-/.test(name));

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sutaz-environment-faults-'));
  environments = await open(dir);
  await environments.ensurePython(python('six==1.17.0'), { signal: never });
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** A Python package of ours: `build` is what building it does. */
function packageOf(name: string, build: string): string {
  const path = join(dir, 'sources', name);
  mkdirSync(path, { recursive: true });
  const system = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n';
  writeFileSync(join(path, 'pyproject.toml'), `${system}[project]\nname = "${name}"\nversion = "1"\n`);
  writeFileSync(
    join(path, 'backend.py'),
    `def build_wheel(folder, *rest, **more):\n${build.replaceAll(/^/gm, '    ')}\n`,
  );
  return `${name} @ file://${path}`;
}

/** A wheel with a file of 4 MB in it, made without any build tool. */
function largeWheel(name: string): string {
  const path = join(dir, `${name}-1-py3-none-any.whl`);
  const script = [
    'import sys, zipfile',
    'path, name = sys.argv[1:]',
    'info = name + "-1.dist-info/"',
    'with zipfile.ZipFile(path, "w") as wheel:',
    '    wheel.writestr(name + "/__init__.py", "")',
    '    wheel.writestr(name + "/large.bin", b"1" * 4_000_000)',
    '    wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: " + name + "\\nVersion: 1\\n")',
    '    wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nGenerator: t\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")',
    '    wheel.writestr(info + "RECORD", "")',
  ].join('\n');
  execFileSync('python3', ['-c', script, path, name]);
  return `${name} @ file://${path}`;
}

describe('two environments with the same large package', () => {
  it('have it once on disk', async () => {
    const large = largeWheel('large');
    const one = await environments.ensurePython(python(large, 'six==1.17.0'), { signal: never });
    const before = diskOf(dir);
    const two = await environments.ensurePython(python(large, 'idna==3.10'), { signal: never });
    expect(two.id).not.toBe(one.id);
    const files = [one, two].map(({ path }) =>
      execFileSync('find', [path, '-name', 'large.bin', '-printf', '%i %n']).toString(),
    );
    expect(files[0]).toMatch(/^\d+ [3-9]$/);
    expect(files[1]).toBe(files[0]);
    // What the second one costs is its own folders and small packages, not the large one.
    expect(diskOf(dir) - before).toBeLessThan(3_000_000);
    const inodes = (path: string) =>
      new Set(execFileSync('find', [path, '-type', 'f', '-printf', '%i\n']).toString().split('\n'));
    const shared = [...inodes(one.path)].filter((inode) => inodes(two.path).has(inode));
    expect(shared.length).toBeGreaterThanOrEqual(3);
  });

  it('are one where a wish comes to the same, also for a later platform', async () => {
    const one = await environments.ensurePython(python('idna==3.10', 'six==1.17.0'), { signal: never });
    const other = { version: '>=3.7', packages: ['six==1.17.0', 'idna==3.10'] };
    expect((await environments.ensurePython(other, { signal: never })).id).toBe(one.id);
    const later = await open(dir);
    expect([later.find({ python: other }), later.find({ python: python('idna==3.10', 'six==1.17.0') })]).toEqual([
      one.id,
      one.id,
    ]);
  });
});

const diskOf = (path: string): number => Number(execFileSync('du', ['-s', '-B1', path]).toString().split('\t')[0]);

describe('a build', () => {
  it('shows the lines of the package that cannot be built', async () => {
    const fails = 'print("compiling one.c")\nraise RuntimeError("fatal error: zlib.h: No such file or directory")';
    const before = folders(dir);
    const asked = environments.ensurePython(python(packageOf('broken', fails)), { signal: never });
    await expect(asked).rejects.toMatchObject({
      code: 'START_FAILED',
      message: expect.stringMatching(/broken @ .*compiling one\.c.*backend\.py", line 3.*fatal error: zlib\.h/s),
    });
    expect(folders(dir)).toEqual(before);
  });

  it('asks a registry that is not there again, says so, and leaves nothing', async () => {
    const before = folders(dir);
    const nowhere = 'http://127.0.0.1:9/';
    const env = { UV_DEFAULT_INDEX: nowhere, UV_HTTP_RETRIES: '2', npm_config_registry: nowhere };
    const cut = await open(dir, { ...env, npm_config_fetch_retry_mintimeout: '20' });
    const seen = new Set<string>();
    const asking = { signal: never, onProgress: ({ what }: { what: string }) => void seen.add(what) };
    await expect(cut.ensureNode(node('is-odd@3.0.1'), asking)).rejects.toMatchObject({
      code: 'START_FAILED',
      message: expect.stringMatching(/registry cannot be reached: .*127\.0\.0\.1:9.*asked several times/s),
    });
    expect([...seen].filter((what) => what.includes('does not answer (ECONNREFUSED): again in'))).toHaveLength(3);
    await expect(cut.ensurePython(python('idna==3.9'), asking)).rejects.toMatchObject({
      code: 'START_FAILED',
      message: expect.stringMatching(/registry cannot be reached: .*after 2 retries.*127\.0\.0\.1:9/s),
    });
    expect(folders(dir)).toEqual(before);
  }, 60_000);

  it('that is killed at any of its steps is made whole by the next platform', async () => {
    for (const step of [1, 2, 3]) {
      const home = join(dir, `killed-${step}`);
      const platform = await runScript(`
        import { openEnvironments } from '#runtime/environments/environments';
        import { systemClock } from '#kernel/clock';
        import { silentLogger } from '#kernel/logger';
        const environments = await openEnvironments({ dir: ${JSON.stringify(home)}, log: silentLogger, clock: systemClock });
        let steps = 0;
        await environments.ensureNode(${JSON.stringify(node('is-odd@3.0.1'))}, {
          signal: new AbortController().signal,
          onProgress: () => ++steps === ${step} && process.kill(process.pid, 'SIGKILL'),
        });`);
      await platform.kill9();
      const later = await open(home);
      expect(later.find({ node: node('is-odd@3.0.1') })).toBeNull();
      const { path } = await later.ensureNode(node('is-odd@3.0.1'), { signal: never });
      const { stdout } = await run(process.execPath, ['-p', `require('is-odd')(3)`], { cwd: path });
      expect(stdout).toBe('true\n');
      expect(existsSync(`${path}.building`)).toBe(false);
    }
  });
});

/** A file system of its own with so many megabytes; null where this user may not have one. */
function smallDisk(megabytes: number): string | null {
  const path = join(dir, `disk-${megabytes}`);
  mkdirSync(path);
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'none', path], { stdio: 'ignore' });
  } catch {
    return null;
  }
  onTestFinished(() => void execFileSync('umount', ['-l', path]));
  return path;
}

describe('on a full disk', () => {
  it('a build says where and what to do, and leaves nothing by halves', async (context) => {
    const disk = smallDisk(40);
    if (disk === null) return context.skip('no file system can be mounted by this user');
    const uv = readdirSync(join(dir, 'tools'), { withFileTypes: true }).map(({ name }) =>
      join(dir, 'tools', name, 'bin'),
    );
    const own = await open(join(disk, 'env'), { PATH: [...uv, process.env['PATH']].join(':') });
    const full = {
      code: 'DISK_FULL',
      message: expect.stringMatching(/^The disk of .*disk-40\/env is full: .*env prune/s),
    };
    for (const ask of [
      () => own.ensurePython(python('numpy==2.2.6'), { signal: never }),
      () => own.ensureNode(node('typescript@5.9.3', 'date-fns@4.1.0'), { signal: never }),
    ]) {
      await expect(ask()).rejects.toMatchObject(full);
    }
    expect(folders(join(disk, 'env'))).toEqual([]);
  });
});
