import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Progress } from '#contracts/models';
import { openEnvironments, type Environments } from '#runtime/environments/environments';
import { runTool } from '#runtime/environments/tool';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { exited, runScript, until } from './_processes.ts';

const run = promisify(execFile);
const never = new AbortController().signal;
const isNumber = { packages: ['is-number@7.0.0'], overrides: {}, allowBuilds: [], omitOptional: false };
const six = { version: '>=3.8', packages: ['six==1.17.0'] };

let dir: string;
let environments: Environments;
const open = () => openEnvironments({ dir, log: silentLogger, clock: systemClock });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sutaz-environments-'));
  environments = await open();
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe('a Node environment', () => {
  it('is installed for real, once for all who want it, and found by a later platform', async () => {
    const seen: Progress[] = [];
    const options = { signal: never, onProgress: (progress: Progress) => void seen.push(progress) };
    const [one, two] = await Promise.all([
      environments.ensureNode(isNumber, options),
      environments.ensure({ node: isNumber }, options),
    ]);
    expect(two).toEqual(one);
    const { stdout } = await run(process.execPath, ['-p', `require('is-number')('7')`], { cwd: one.path });
    expect(stdout).toBe('true\n');
    expect(seen.at(-1)).toMatchObject({ phase: 'installing', unit: 'steps', done: 3, total: 3 });

    const started = performance.now();
    expect(await (await open()).ensureNode(isNumber, { signal: never })).toEqual(one);
    expect(performance.now() - started).toBeLessThan(250);
  });

  it('leaves what pnpm remembers beside it, and nothing in the home of the user', async () => {
    const home = await mkdtemp(join(tmpdir(), 'sutaz-environments-home-'));
    const folder = join(home, 'env');
    const env = { ...process.env, HOME: home, XDG_CACHE_HOME: undefined, TMPDIR: home };
    try {
      const own = await openEnvironments({ dir: folder, log: silentLogger, clock: systemClock, env });
      await own.ensureNode(isNumber, { signal: never });
      expect(readdirSync(join(folder, 'pnpm-cache'))).toContain('compiled');
      expect(readdirSync(home, { recursive: true }).filter((name) => !String(name).startsWith('env'))).toEqual([]);
    } finally {
      await rm(home, { recursive: true });
    }
  });

  it('says why a package cannot be had, and leaves nothing', async () => {
    const before = readdirSync(dir).sort();
    const spec = { ...isNumber, packages: ['is-number@999.0.0'] };
    await expect(environments.ensureNode(spec, { signal: never })).rejects.toMatchObject({
      code: 'START_FAILED',
      message: expect.stringMatching(/is-number@999\.0\.0.*\n?.*ERR_PNPM_NO_MATCHING_VERSION/s),
    });
    expect(readdirSync(dir).sort()).toEqual(before);
    const wrong = environments.ensureNode({ ...isNumber, packages: ['--global'] }, { signal: never });
    await expect(wrong).rejects.toMatchObject({ code: 'BAD_REQUEST' });
  });
});

describe('a Python environment', () => {
  it('is installed for real with uv, whose own installing counts to the first one', async () => {
    const env = await environments.ensurePython(six, { signal: never });
    const PATH = [env.bin, process.env['PATH']].join(delimiter);
    const { stdout } = await run('python', ['-c', 'import six; print(six.__version__)'], { env: { ...env.env, PATH } });
    expect(stdout).toBe('1.17.0\n');
    const started = performance.now();
    expect(await (await open()).ensurePython(six, { signal: never })).toEqual(env);
    expect(performance.now() - started).toBeLessThan(250);
  });

  it('carries the words of the resolver when a version does not exist', async () => {
    const asked = environments.ensurePython({ ...six, packages: ['six==99.9'] }, { signal: never });
    await expect(asked).rejects.toMatchObject({
      code: 'START_FAILED',
      message: expect.stringContaining('no version of six==99.9'),
    });
  });

  it('says what was found when no interpreter fits and none may be downloaded', async () => {
    const env = { ...process.env, UV_PYTHON_DOWNLOADS: 'never' };
    const offline = await openEnvironments({ dir, log: silentLogger, clock: systemClock, env });
    const asked = offline.ensurePython({ ...six, version: '>=3.99' }, { signal: never });
    await expect(asked).rejects.toMatchObject({
      code: 'START_FAILED',
      message: expect.stringMatching(/No Python fits ">=3\.99": found 3\.\d+\.\d+ \(/),
    });
  });
});

describe('all of them', () => {
  it('are listed with what they weigh and share, and pruned when nobody names them', async () => {
    const kept = await environments.ensureNode(isNumber, { signal: never });
    const { environments: list, bytes: together } = await environments.list();
    expect(list.map(({ kind }) => kind).sort()).toEqual(['node', 'python']);
    for (const { bytes, sharedBytes } of list) {
      expect(sharedBytes).toBeGreaterThan(0);
      expect(bytes).toBeGreaterThan(sharedBytes);
    }
    expect(together).toBeGreaterThan(0);
    expect(together).toBeLessThanOrEqual(list.reduce((sum, { bytes }) => sum + bytes, 0));
    // What was handed out somebody may run from.
    expect(await environments.prune([])).toMatchObject({ removed: [] });
    const later = await open();
    const gone = list.filter(({ id }) => id !== kept.id).map(({ id, packages }) => ({ id, packages }));
    const tried = await later.prune([kept.id], { dryRun: true });
    expect(tried.removed).toEqual(gone);
    expect(later.find({ python: six })).toBe(gone[0]?.id);
    expect(readdirSync(dir)).toContain(gone[0]?.id);
    const { removed, freed } = await later.prune([kept.id]);
    expect(removed).toEqual(gone);
    expect(freed).toBeGreaterThanOrEqual(tried.freed);
    // The cache kept a link to each of its files: without that going too, nothing would have been given back.
    expect(freed).toBeGreaterThan(30_000);
    expect((await later.list()).environments.map(({ id }) => id)).toEqual([kept.id]);
    // A platform that still remembers it makes it again.
    const again = await environments.ensurePython(six, { signal: never });
    expect(existsSync(join(again.path, '.ready'))).toBe(true);
  });
});

describe('a tool at work', () => {
  const script = (text: string) => ['/bin/sh', '-c', text] as const;
  const base = () => ({ cwd: dir, env: { PATH: process.env['PATH'] ?? '' }, clock: systemClock });

  it('is ended with all it started when its caller leaves', async () => {
    const caller = new AbortController();
    const pids: number[] = [];
    const running = runTool({
      ...{ ...base(), argv: script('sleep 60 & echo $!; sleep 61 & echo $!; wait'), signal: caller.signal },
      onLine: (line) => void (pids.push(Number(line)) === 2 && caller.abort()),
    });
    await expect(running).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(pids).toHaveLength(2);
    await until(() => pids.every(exited), 'both children to end');
  });

  it('that a killed platform left is ended before its folder is built anew', async () => {
    const content = '0123456789abcdef';
    const path = join(dir, `node-${content}`);
    const note = `${path}.building`;
    const platform = await runScript(`
      import { mkdirSync } from 'node:fs';
      import { runTool } from '#runtime/environments/tool';
      import { systemClock } from '#kernel/clock';
      mkdirSync(${JSON.stringify(path)}, { recursive: true });
      const argv = ['/bin/sh', '-c', 'trap "" PIPE; echo up; sleep 60'];
      const base = { argv, cwd: ${JSON.stringify(path)}, env: {}, clock: systemClock, note: ${JSON.stringify(note)} };
      setInterval(() => undefined, 1_000);
      await runTool({ ...base, signal: new AbortController().signal, onLine: (line) => console.log(line) });`);
    await until(() => existsSync(note) && readFileSync(note, 'utf8') !== '', 'the note of the tool');
    const pid = Number(readFileSync(note, 'utf8'));
    await platform.kill9();
    expect(exited(pid)).toBe(false);
    await environments.prune((await environments.list()).environments.map(({ id }) => id));
    await until(() => exited(pid), 'the tool to end');
    expect(existsSync(path)).toBe(false);
  });

  it('leaves a stranger alone that has its pid by now', async () => {
    const note = join(dir, 'note');
    await writeFile(note, String(process.pid));
    const { endLeftTool } = await import('#runtime/environments/tool');
    await endLeftTool(note, dirname(note));
    expect(exited(process.pid)).toBe(false);
  });
});
