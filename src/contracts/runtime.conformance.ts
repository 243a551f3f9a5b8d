import { describe, expect, it, onTestFinished } from 'vitest';
import { newInstanceId, unitId } from '#kernel/ids';
import { Fault } from '#kernel/faults';
import type { ExitedStatus, InstanceHandle, InstanceSpec, RuntimeDriver } from './runtime.ts';

/** What a driver brings to its conformance test. */
export interface RuntimeHarness {
  readonly driver: RuntimeDriver;
  /** Another driver of the same kind, as after a restart of the platform. The harness closes it. */
  reopen(): Promise<RuntimeDriver>;
  /** A spec that runs a POSIX shell script. */
  script(text: string): Pick<InstanceSpec, 'argv' | 'env' | 'cwd' | 'logFile' | 'container'>;
  /** A spec whose command does not exist. `name` is what the fault must mention. */
  missing(): Pick<InstanceSpec, 'argv' | 'env' | 'cwd' | 'logFile' | 'container'> & { readonly name: string };
  /** What is in the log of a spec so far. */
  log(spec: Pick<InstanceSpec, 'logFile'>): Promise<string>;
  /** Ends whatever a failed test left, and closes the drivers. */
  close(): Promise<void>;
}

const never = new AbortController().signal;
/** Writes a line every 20 ms for as long as it lives, and dies of SIGTERM. */
const ticking = 'while :; do echo tick; sleep 0.02; done';
const stubborn = `trap 'echo refused' TERM; echo up; ${ticking}`;
const grace = 5_000;

/** What every runtime driver must do. `open` is called for each test anew. */
export function runtimeConformance(open: () => Promise<RuntimeHarness>): void {
  const setup = async () => {
    const harness = await open();
    onTestFinished(() => harness.close());
    const spec = (text: string): InstanceSpec => complete(harness.script(text));
    const exits: { readonly handle: InstanceHandle; readonly status: ExitedStatus }[] = [];
    harness.driver.onExit((handle, status) => exits.push({ handle, status }));
    return { ...harness, spec, exits };
  };
  const quietFor = async (harness: RuntimeHarness, spec: InstanceSpec) => {
    const before = await harness.log(spec);
    await pause(150);
    return (await harness.log(spec)) === before;
  };
  const says = (harness: RuntimeHarness, spec: InstanceSpec, text: string) =>
    until(async () => (await harness.log(spec)).includes(text), `"${text}" in the log`);

  describe('start', () => {
    it('gives a handle of plain JSON, and the instance is seen', async () => {
      const { driver, spec } = await setup();
      const handle = await driver.start(spec(ticking), never);
      expect(JSON.parse(JSON.stringify(handle))).toEqual(handle);
      const status = await driver.inspect(handle);
      expect(status).toMatchObject({ state: 'running', memoryBytes: expect.any(Number) });
      expect(status.state === 'running' && status.memoryBytes).toBeGreaterThan(0);
      expect(await driver.list()).toEqual([handle]);
      await driver.stop(handle, grace);
      expect(await driver.list()).toEqual([]);
    });

    it('gives it the environment of the spec and nothing of the platform, and both streams go to the log', async () => {
      process.env['SUTAZ_TEST_SECRET'] = 'of the platform';
      onTestFinished(() => void delete process.env['SUTAZ_TEST_SECRET']);
      const harness = await setup();
      const spec = { ...harness.spec('env; echo complaint >&2; echo done') };
      await harness.driver.start({ ...spec, env: { ...spec.env, GREETING: 'good day' } }, never);
      await says(harness, spec, 'done');
      const log = await harness.log(spec);
      expect(log).toContain('GREETING=good day');
      expect(log).toContain('complaint');
      expect(log).not.toContain('of the platform');
    });

    it('says START_FAILED with the command when it cannot be run, and leaves nothing', async () => {
      const { driver, missing, exits } = await setup();
      const { name, ...spec } = missing();
      const fault = await driver.start(complete(spec), never).catch((error: unknown) => error);
      expect(fault).toBeInstanceOf(Fault);
      expect(fault).toMatchObject({ code: 'START_FAILED', message: expect.stringContaining(name) });
      expect(await driver.list()).toEqual([]);
      expect(exits).toEqual([]);
    });

    it('starts nothing for a caller that has left', async () => {
      const harness = await setup();
      const spec = harness.spec(ticking);
      await expect(harness.driver.start(spec, AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELLED' });
      const during = new AbortController();
      const starting = harness.driver.start(harness.spec(ticking), during.signal);
      during.abort();
      await expect(starting).rejects.toMatchObject({ code: 'CANCELLED' });
      expect(await harness.driver.list()).toEqual([]);
      expect(await quietFor(harness, spec)).toBe(true);
    });

    it('refuses an id that is taken', async () => {
      const { driver, spec } = await setup();
      const one = spec(ticking);
      await driver.start(one, never);
      await expect(driver.start(one, never)).rejects.toMatchObject({ code: 'CONFLICT' });
    });

    it('keeps several at once apart', async () => {
      const { driver, spec, exits } = await setup();
      const handles = await Promise.all([0, 1, 2, 3].map((n) => driver.start(spec(`sleep 0.1; exit ${n}`), never)));
      await until(() => exits.length === 4, 'four ends');
      const codes = handles.map(({ id }) => exits.find(({ handle }) => handle.id === id)?.status.code);
      expect(codes).toEqual([0, 1, 2, 3]);
    });
  });

  describe('an end by itself', () => {
    it('is told once, with its code, and can be asked for afterwards', async () => {
      const { driver, spec, exits } = await setup();
      const handle = await driver.start(spec('exit 7'), never);
      await until(() => exits.length > 0, 'an end');
      const status = { state: 'exited', code: 7, signal: null, oomKilled: false };
      expect(exits).toEqual([{ handle, status }]);
      expect(await driver.inspect(handle)).toEqual(status);
      await driver.stop(handle, grace);
      expect(exits).toHaveLength(1);
    });

    it('takes along what the instance left behind', async () => {
      const harness = await setup();
      const spec = harness.spec(`(${ticking}) & sleep 0.1; exit 0`);
      await harness.driver.start(spec, never);
      await until(() => harness.exits.length > 0, 'an end');
      expect(await quietFor(harness, spec)).toBe(true);
    });

    it('is not told to those who asked later, or no longer', async () => {
      const { driver, spec, exits } = await setup();
      const heard: string[] = [];
      driver.onExit(() => heard.push('no longer'))();
      await driver.start(spec('exit 0'), never);
      await until(() => exits.length > 0, 'an end');
      driver.onExit(() => heard.push('too late'));
      await pause(50);
      expect(heard).toEqual([]);
    });
  });

  describe('stop', () => {
    it('asks first', async () => {
      const harness = await setup();
      const spec = harness.spec(`trap 'echo goodbye; exit 3' TERM; echo up; ${ticking}`);
      const handle = await harness.driver.start(spec, never);
      await says(harness, spec, 'up');
      await harness.driver.stop(handle, grace);
      expect(await harness.log(spec)).toContain('goodbye');
      expect(harness.exits.map(({ status }) => status.code)).toEqual([3]);
      expect(await harness.driver.inspect(handle)).toMatchObject({ state: 'exited', code: 3 });
    });

    it('insists after the grace', async () => {
      const harness = await setup();
      const spec = harness.spec(stubborn);
      const handle = await harness.driver.start(spec, never);
      await says(harness, spec, 'up');
      await harness.driver.stop(handle, 200);
      expect(await harness.log(spec)).toContain('refused');
      expect(await quietFor(harness, spec)).toBe(true);
      expect(harness.exits).toMatchObject([{ status: { state: 'exited', oomKilled: false } }]);
    });

    it('ends everything the instance started', async () => {
      const harness = await setup();
      const spec = harness.spec(`(trap '' TERM; ${ticking}) & (${ticking}) & echo up; wait`);
      const handle = await harness.driver.start(spec, never);
      await says(harness, spec, 'tick');
      await harness.driver.stop(handle, 200);
      expect(await quietFor(harness, spec)).toBe(true);
    });

    it('is one, however often it is asked for, and the shorter grace counts', async () => {
      const harness = await setup();
      const spec = harness.spec(stubborn);
      const handle = await harness.driver.start(spec, never);
      await says(harness, spec, 'up');
      await Promise.all([harness.driver.stop(handle, 600_000), harness.driver.stop(handle, 50)]);
      await harness.driver.stop(handle, grace);
      expect(harness.exits).toHaveLength(1);
    });

    it('works right after the start', async () => {
      const { driver, spec, exits } = await setup();
      const handle = await driver.start(spec(ticking), never);
      await driver.stop(handle, grace);
      expect(exits).toHaveLength(1);
      expect(await driver.inspect(handle)).toMatchObject({ state: 'exited' });
    });
  });

  describe('after a restart of the platform', () => {
    it('recovers what survived, with its end and its stop', async ({ skip }) => {
      const harness = await setup();
      skip(!harness.driver.traits.survivesRestart, 'its instances end with the platform');
      const [one, two] = [harness.spec(ticking), harness.spec('echo up; sleep 1')];
      const handles = [await harness.driver.start(one, never), await harness.driver.start(two, never)];
      await says(harness, two, 'up');
      await harness.driver.close();

      const next = await harness.reopen();
      const ended: InstanceHandle[] = [];
      next.onExit((handle) => ended.push(handle));
      const kept = handles.map((handle) => JSON.parse(JSON.stringify(handle)) as InstanceHandle);
      expect(await Promise.all(kept.map((handle) => next.recover(handle)))).toEqual(handles);
      expect(new Set(await next.list())).toEqual(new Set(handles));
      expect(await next.inspect(kept[0] as InstanceHandle)).toMatchObject({ state: 'running' });
      await until(() => ended.length === 1, 'the end of the second');
      expect(ended).toEqual([handles[1]]);
      await next.stop(kept[0] as InstanceHandle, grace);
      expect(await quietFor(harness, one)).toBe(true);
      expect(ended).toEqual([handles[1], handles[0]]);
    });

    it('says null of what is gone, and leaves nothing of it', async () => {
      const harness = await setup();
      const handle = await harness.driver.start(harness.spec(ticking), never);
      await harness.driver.stop(handle, grace);
      const next = await harness.reopen();
      expect(await next.recover(handle)).toBeNull();
      expect(await next.list()).toEqual([]);
      expect(await next.inspect(handle)).toMatchObject({ state: 'exited', code: null });
      await next.stop(handle, grace);
    });

    it('can stop what it never recovered', async ({ skip }) => {
      const harness = await setup();
      skip(!harness.driver.traits.survivesRestart, 'its instances end with the platform');
      const spec = harness.spec(ticking);
      const handle = await harness.driver.start(spec, never);
      await harness.driver.close();
      const next = await harness.reopen();
      await next.stop(handle, grace);
      expect(await quietFor(harness, spec)).toBe(true);
    });
  });

  describe('freeze and thaw', () => {
    it('stop it from running and let it go on where it was', async ({ skip }) => {
      const harness = await setup();
      const { driver } = harness;
      if (!driver.freeze || !driver.thaw) return skip('it cannot freeze');
      const spec = harness.spec(`(${ticking}) & wait`);
      const handle = await driver.start(spec, never);
      await says(harness, spec, 'tick');
      await driver.freeze(handle);
      await driver.freeze(handle);
      await until(async () => (await driver.inspect(handle)).state === 'frozen', 'it to be frozen');
      expect(await quietFor(harness, spec)).toBe(true);
      await driver.thaw(handle);
      await driver.thaw(handle);
      await until(async () => (await driver.inspect(handle)).state === 'running', 'it to run');
      expect(await quietFor(harness, spec)).toBe(false);
    });

    it('do not stand in the way of a polite stop', async ({ skip }) => {
      const harness = await setup();
      const { driver } = harness;
      if (!driver.freeze) return skip('it cannot freeze');
      const spec = harness.spec(`trap 'echo goodbye; exit 0' TERM; echo up; ${ticking}`);
      const handle = await driver.start(spec, never);
      await says(harness, spec, 'up');
      await driver.freeze(handle);
      await driver.stop(handle, grace);
      expect(await harness.log(spec)).toContain('goodbye');
    });

    it('say CONFLICT once it has ended', async ({ skip }) => {
      const { driver, spec } = await setup();
      if (!driver.freeze || !driver.thaw) return skip('it cannot freeze');
      const handle = await driver.start(spec(ticking), never);
      await driver.stop(handle, grace);
      await expect(driver.freeze(handle)).rejects.toMatchObject({ code: 'CONFLICT' });
      await expect(driver.thaw(handle)).rejects.toMatchObject({ code: 'CONFLICT' });
    });
  });

  it('close ends nothing that survives a restart, tells nobody any more, and may be called twice', async ({ skip }) => {
    const harness = await setup();
    skip(!harness.driver.traits.survivesRestart, 'its instances end with the platform');
    const spec = harness.spec(ticking);
    const handle = await harness.driver.start(spec, never);
    await harness.driver.close();
    await harness.driver.close();
    expect(await quietFor(harness, spec)).toBe(false);
    await (await harness.reopen()).stop(handle, grace);
    expect(harness.exits).toEqual([]);
  });
}

const complete = (part: Pick<InstanceSpec, 'argv' | 'env' | 'cwd' | 'logFile' | 'container'>): InstanceSpec => ({
  ...part,
  id: newInstanceId(),
  unit: unitId('service', 'conformance'),
  memoryBytes: 64 * 2 ** 20,
});

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Real processes take the time they take: looked at often, waited for within bounds. */
async function until(condition: () => boolean | Promise<boolean>, what: string, boundMs = 15_000): Promise<void> {
  const start = performance.now();
  while (!(await condition())) {
    if (performance.now() - start > boundMs) throw new Error(`Waited ${boundMs} ms in vain for ${what}.`);
    await pause(10);
  }
}
