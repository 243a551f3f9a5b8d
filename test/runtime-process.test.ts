import { existsSync } from 'node:fs';
import { access, chmod, constants, mkdir, mkdtemp, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { runtimeConformance, type RuntimeHarness } from '#contracts/runtime.conformance';
import type { Confinement, InstanceHandle, InstanceSpec, RuntimeDriver } from '#contracts/runtime';
import runtimeProcess from '#drivers/runtime/process';
import type { ProcessOptions } from '#drivers/runtime/process';
import { ownCgroup } from '#kernel/cgroups';
import { systemClock } from '#kernel/clock';
import { newInstanceId, unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { exited, startedEarlier, until } from './_processes.ts';

const host = { log: silentLogger, clock: systemClock, signal: new AbortController().signal };
const env = { PATH: process.env['PATH'] ?? '' };

async function openHarness(options: ProcessOptions = {}, confine?: Confinement): Promise<RuntimeHarness> {
  const dir = await mkdtemp(join(tmpdir(), 'sutaz-runtime-'));
  const drivers: RuntimeDriver[] = [];
  const reopen = async () => {
    const driver = await runtimeProcess.open(options, host);
    drivers.push(driver);
    return driver;
  };
  let serial = 0;
  const place = () => ({ env, cwd: dir, logFile: join(dir, 'logs', `${serial++}.log`), ...(confine && { confine }) });
  if (confine?.user) await chmod(dir, 0o777);
  return {
    driver: await reopen(),
    reopen,
    script: (text) => ({ ...place(), argv: ['/bin/sh', '-c', text] }),
    missing: () => ({ ...place(), argv: ['no-such-command', '--port', '1'], name: 'no-such-command' }),
    log: ({ logFile }) => readFile(logFile, 'utf8').catch(() => ''),
    async close() {
      for (const driver of drivers) {
        for (const handle of await driver.list()) await driver.stop(handle, 0);
        await driver.close();
      }
      await rm(dir, { recursive: true, force: true });
    },
  };
}

describe('conformance', () => runtimeConformance(() => openHarness()));
// As on a machine where the platform may make no control groups.
describe('conformance by signals alone', () => runtimeConformance(() => openHarness({ cgroups: null })));

const limits = { memoryBytes: 256 * 2 ** 20, processes: 64, cpuWeight: 100 };
describe('conformance within limits', () => runtimeConformance(() => openHarness({}, { limits })));
describe('conformance within limits of the system', () =>
  runtimeConformance(() => openHarness({ cgroups: null }, { limits })));
describe.runIf(process.getuid?.() === 0)('conformance as another user', () =>
  runtimeConformance(() => openHarness({}, { limits, user: { uid: 79_990, gid: 79_990, groups: [79_990] } })),
);

describe('a plain process', () => {
  const never = new AbortController().signal;
  const setup = async () => {
    const harness = await openHarness();
    onTestFinished(() => harness.close());
    const make = (part: Pick<InstanceSpec, 'argv' | 'env' | 'cwd' | 'logFile'>): InstanceSpec => ({
      ...{ id: newInstanceId(), unit: unitId('service', 'special'), memoryBytes: 0 },
      ...part,
    });
    const spec = (text: string) => make(harness.script(text));
    return { ...harness, make, spec };
  };
  const pidsOf = async (log: Promise<string>) => [...(await log).matchAll(/pid (\d+)/g)].map(([, pid]) => Number(pid));
  const node = (text: string): InstanceSpec['argv'] => [process.execPath, '-e', text];
  const pidOf = (handle: InstanceHandle | null) => (handle?.state as { pid: number }).pid;

  it('is ended with a daemon that forked twice into a session of its own and ignores SIGTERM', async () => {
    const { driver, spec, log } = await setup();
    const one = spec(
      `setsid sh -c '(trap "" TERM; sh -c "echo pid \\$PPID"; while :; do sleep 0.05; done) &' & sleep 30`,
    );
    const handle = await driver.start(one, never);
    await until(async () => (await pidsOf(log(one))).length > 0, 'the daemon');
    const [daemon] = await pidsOf(log(one));
    await driver.stop(handle, 100);
    expect(exited(daemon as number)).toBe(true);
  });

  it('counts the memory of all it started, and shares a look at the processes', async () => {
    const { driver, make, script, log } = await setup();
    const child = `const held = Buffer.alloc(60 * 2 ** 20, 1); console.log('pid ' + process.pid); setInterval(() => held, 1e6)`;
    const parent = `for (const n of [1, 2]) require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(child)}], { stdio: 'inherit' })`;
    const spec = make({ ...script(''), argv: node(parent) });
    const handle = await driver.start(spec, never);
    await until(async () => (await pidsOf(log(spec))).length === 2, 'two children');
    // The look at its start may still be shared, and knows of no children.
    const seen = async () => ((await driver.inspect(handle)) as { memoryBytes: number }).memoryBytes;
    await until(async () => (await seen()) > 120 * 2 ** 20, 'a look with the children');
    const started = performance.now();
    const looks = await Promise.all(Array.from({ length: 20 }, () => driver.inspect(handle)));
    console.log(`20 inspections of 3 processes: ${(performance.now() - started).toFixed(1)} ms`);
    for (const status of looks) {
      // Each child holds 60 MiB that it shares with nobody, and a Node process needs some tens itself.
      expect(status.state === 'running' && status.memoryBytes).toBeGreaterThan(120 * 2 ** 20);
      expect(status.state === 'running' && status.memoryBytes).toBeLessThan(400 * 2 ** 20);
    }
  });

  it('survives the kill -9 of the platform, goes on writing its log, and is taken over', async () => {
    const { driver, script, log } = await setup();
    const place = script('while :; do echo tick; sleep 0.02; done');
    const spec = { ...place, id: newInstanceId(), unit: unitId('service', 'survivor'), memoryBytes: 0 };
    const handle = await startedEarlier(spec);
    const written = (await log(spec)).length;
    await until(async () => (await log(spec)).length > written + 20, 'more lines after the kill');

    const ends: unknown[] = [];
    driver.onExit((_, status) => ends.push(status));
    expect(await driver.recover(handle)).toEqual(handle);
    expect(await driver.inspect(handle)).toMatchObject({ state: 'running', pid: pidOf(handle) });
    process.kill(pidOf(handle), 'SIGKILL');
    await until(() => ends.length > 0, 'its end');
    expect(ends).toEqual([{ state: 'exited', code: null, signal: null, oomKilled: false }]);
  });

  it('regression: is found by its id when the platform was killed between starting and noting it, and ended', async () => {
    const { driver, script } = await setup();
    const place = script('while :; do sleep 0.02; done');
    const spec = { ...place, id: newInstanceId(), unit: unitId('service', 'unnoted'), memoryBytes: 0 };
    const { unit, state } = await startedEarlier(spec);
    const { pid, startTicks } = state as { pid: number; startTicks: number };
    const found = await driver.find?.(spec.id, spec.unit);
    expect(found).toMatchObject({ id: spec.id, unit, state: { pid, startTicks } });
    expect(await driver.find?.(newInstanceId(), spec.unit)).toBeNull();
    if (found) await driver.recover(found);
    if (found) await driver.stop(found, 0);
    await until(() => exited(pid), 'its end');
    expect(await driver.find?.(spec.id, spec.unit)).toBeNull();
  });

  it('is not mistaken for a later process with its pid', async () => {
    const { driver, spec, reopen } = await setup();
    const handle = await driver.start(spec('sleep 30'), never);
    const next = await reopen();
    const state = handle.state as { pid: number; startTicks: number; bootId: string };
    const earlier = { ...handle, id: newInstanceId(), state: { ...state, startTicks: state.startTicks - 100 } };
    const otherBoot = { ...handle, id: newInstanceId(), state: { ...state, bootId: 'another' } };
    for (const stranger of [earlier, otherBoot]) {
      expect(await next.recover(stranger)).toBeNull();
      expect(await next.inspect(stranger)).toMatchObject({ state: 'exited' });
      await next.stop(stranger, 0);
    }
    expect(exited(pidOf(handle))).toBe(false);
  });

  it('leaves no daemon behind that outlived its root while no platform ran', async () => {
    const { driver, spec, log, reopen } = await setup();
    const one = spec(`setsid sh -c 'sh -c "echo pid \\$PPID"; while :; do sleep 0.05; done' & sleep 30`);
    const handle = await driver.start(one, never);
    await until(async () => (await pidsOf(log(one))).length > 0, 'the daemon');
    const [daemon] = await pidsOf(log(one));
    await driver.close();
    process.kill(pidOf(handle), 'SIGKILL');
    await until(() => exited(pidOf(handle)), 'the root to end');
    expect(await (await reopen()).recover(handle)).toBeNull();
    expect(exited(daemon as number)).toBe(true);
  });

  it('does not claim that memory ran out when someone killed it', async () => {
    const { driver, spec } = await setup();
    const ends: unknown[] = [];
    driver.onExit((_, status) => ends.push(status));
    const handle = await driver.start(spec('sleep 30'), never);
    process.kill(pidOf(handle), 'SIGKILL');
    await until(() => ends.length > 0, 'its end');
    expect(ends).toEqual([{ state: 'exited', code: null, signal: 'SIGKILL', oomKilled: false }]);
  });

  it('is what the kernel takes first when memory runs out', async () => {
    const { driver, spec, log } = await setup();
    const own = Math.max(0, Number(await readFile('/proc/self/oom_score_adj', 'utf8')));
    const score = async (pid: number) => Number(await readFile(`/proc/${pid}/oom_score_adj`, 'utf8')) - own;
    expect(await score(pidOf(await driver.start(spec('sleep 30'), never)))).toBe(500);
    // Its children are started at once, and one a little later.
    const child = `sh -c 'echo pid $$; exec sleep 30' &`;
    const one = { ...spec(`${child} ${child} sleep 0.1; ${child} wait`), oomScoreAdj: 73 };
    const handle = await driver.start(one, never);
    await until(async () => (await pidsOf(log(one))).length === 3, 'three children');
    const scores = [pidOf(handle), ...(await pidsOf(log(one)))].map(score);
    expect(await Promise.all(scores)).toEqual([73, 73, 73, 73]);
  });

  it.each([
    { what: 'a working folder that is missing', change: { cwd: '/no/such/folder' }, says: '/no/such/folder' },
    { what: 'a file that may not be executed', change: { argv: ['/etc/passwd'] as const }, says: 'chmod' },
    { what: 'a log that cannot be opened', change: { logFile: '/proc/none/log' }, says: '/proc/none/log' },
  ])('says what to do about $what', async ({ change, says }) => {
    const { driver, spec } = await setup();
    const starting = driver.start({ ...spec('exit 0'), ...change }, never);
    await expect(starting).rejects.toMatchObject({ code: 'START_FAILED', message: expect.stringContaining(says) });
  });
});

describe('a control group', () => {
  const never = new AbortController().signal;
  const setup = async (skip: (why: string) => never) => {
    const parent = await ownCgroup();
    if (parent === null || !(await isWritable(join(parent, 'cgroup.procs'))))
      return skip('no control group of version 2 may be made here');
    const harness = await openHarness();
    onTestFinished(() => harness.close());
    const spec = (text: string): InstanceSpec => ({
      ...{ id: newInstanceId(), unit: unitId('service', 'grouped'), memoryBytes: 0, ...harness.script(text) },
    });
    const folder = (id: string) => join(parent, `sutaz-${id}`);
    const file = (id: string, name: string) => readFile(join(folder(id), name), 'utf8');
    const isGone = (id: string) => !existsSync(folder(id));
    return { ...harness, spec, folder, file, isGone, parent };
  };
  const isWritable = (path: string) =>
    access(path, constants.W_OK).then(
      () => true,
      () => false,
    );
  const lines = async (text: Promise<string>) => (await text).trim().split('\n').filter(Boolean);
  const stateOf = async (pid: string) => /\) (\w)/.exec(await readFile(`/proc/${pid}/stat`, 'latin1'))?.[1];

  it('holds all of an instance, freezes it without a signal, and goes with it', async ({ skip }) => {
    const { driver, spec, file, isGone } = await setup(skip);
    // The daemon is in a session of its own, and was started at once.
    const one = spec(`setsid sh -c 'while :; do sleep 0.05; done' & while :; do sleep 0.05; done`);
    const handle = await driver.start(one, never);
    await until(async () => (await lines(file(one.id, 'cgroup.procs'))).length >= 2, 'both in the group');
    await driver.freeze?.(handle);
    expect(await file(one.id, 'cgroup.events')).toContain('frozen 1');
    expect(await driver.inspect(handle)).toMatchObject({ state: 'frozen' });
    for (const pid of await lines(file(one.id, 'cgroup.procs'))) expect(await stateOf(pid)).not.toBe('T');
    await driver.thaw?.(handle);
    await until(async () => (await file(one.id, 'cgroup.events')).includes('frozen 0'), 'the thaw');
    expect(await driver.inspect(handle)).toMatchObject({ state: 'running' });
    await driver.stop(handle, 5_000);
    expect(isGone(one.id)).toBe(true);
  });

  it('goes when the instance ends by itself, and when it could not be started', async ({ skip }) => {
    const { driver, spec, isGone, missing } = await setup(skip);
    const exits: string[] = [];
    driver.onExit(({ id }) => exits.push(id));
    const one = spec('exit 0');
    await driver.start(one, never);
    await until(() => exits.includes(one.id), 'its end');
    expect(isGone(one.id)).toBe(true);
    const { name: _, ...place } = missing();
    const other = { ...spec(''), ...place };
    await expect(driver.start(other, never)).rejects.toMatchObject({ code: 'START_FAILED' });
    expect(isGone(other.id)).toBe(true);
  });

  it('is taken over frozen, thawed by the next platform, and removed by it after an end that nobody saw', async ({
    skip,
  }) => {
    const { driver, spec, reopen, isGone, file } = await setup(skip);
    const [one, two] = [spec('while :; do sleep 0.05; done'), spec('sleep 30')];
    const [first, second] = [await driver.start(one, never), await driver.start(two, never)];
    await driver.freeze?.(first);
    await driver.close();
    process.kill((second.state as { pid: number }).pid, 'SIGKILL');
    await until(() => exited((second.state as { pid: number }).pid), 'the end of the second');
    const next = await reopen();
    expect(await next.recover(first)).toEqual(first);
    expect(await next.recover(second)).toBeNull();
    expect(isGone(two.id)).toBe(true);
    expect(await next.inspect(first)).toMatchObject({ state: 'frozen' });
    await next.thaw?.(first);
    await until(async () => (await file(one.id, 'cgroup.events')).includes('frozen 0'), 'the thaw');
    await next.stop(first, 0);
    expect(isGone(one.id)).toBe(true);
  });

  it('that a killed platform left empty is removed by the next one, and no other', async ({ skip }) => {
    const { folder, reopen, isGone } = await setup(skip);
    const [left, other] = [newInstanceId(), 'platform-of-someone'];
    onTestFinished(() => rmdir(folder(other)));
    await Promise.all([left, other].map((id) => mkdir(folder(id))));
    await reopen();
    expect([isGone(left), isGone(other)]).toEqual([true, false]);
  });

  it('gets back what someone took out of it, to be frozen with the rest', async ({ skip }) => {
    const { driver, spec, parent, file } = await setup(skip);
    const one = spec('while :; do sleep 0.05; done');
    const handle = await driver.start(one, never);
    const { pid } = handle.state as { pid: number };
    // Someone took it out; it comes back to be frozen.
    await writeFile(join(parent, 'cgroup.procs'), String(pid));
    await driver.freeze?.(handle);
    expect(await lines(file(one.id, 'cgroup.procs'))).toContain(String(pid));
    expect(await file(one.id, 'cgroup.events')).toContain('frozen 1');
    await driver.stop(handle, 5_000);
  });
});
