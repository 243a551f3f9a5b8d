/**
 * Services that lie, hang, die and linger, each as real processes beside a good one that is asked every 50 ms: the bad one
 * ends as the design says, with its reason where people look, and the good one does not notice.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { ApiEvent, ApiLedgerLines, ApiState } from '#contracts/api';
import { followEvents, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { exited, until } from './_processes.ts';
import { holderService, processesOf } from './fixtures/holders.ts';
import type { Holder } from './fixtures/holders.ts';

const MiB = 2 ** 20;
let home: string;
let platform: TestPlatform;
beforeAll(async () => void (home = await mkdtemp(join(tmpdir(), 'sutaz-misbehaving-'))));
afterEach(async () => {
  await platform.stop();
  expect(processesOf(home)).toEqual([]);
});
afterAll(() => rm(home, { recursive: true, force: true }));

const good: Holder = { id: 'good', memory: '128MiB', flags: ['--hold', 40], extra: 'priority: 90' };
const config = 'scheduler: { minResidency: 200ms, backoff: { first: 100ms, attempts: 3 } }';

async function start(memory: string, ...holders: readonly Holder[]): Promise<void> {
  const files = [good, ...holders].map((holder) => [`services/${holder.id}.yaml`, holderService(holder)] as const);
  platform = await startPlatform({ home, memory, config, catalog: Object.fromEntries(files) });
}

const ask = (id: string, path = '/hold', init: RequestInit = {}) => platform.fetch(`/services/${id}${path}`, init);
const held = async (id: string) => (await (await ask(id)).json()) as { pid: number; children: number[] };
const ledger = async () => (await (await platform.fetch('/sutaz/v1/ledger')).json()) as ApiLedgerLines;
const processes = (service: string) => processesOf(home).filter((one) => one.service === service);

/** What `./sutaz` says, run as the launcher runs it. */
async function sutaz(...argv: string[]): Promise<string> {
  const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning', join(root, 'src/cli.ts')];
  const env = { ...process.env, SUTAZ_HOME: home };
  return (await promisify(execFile)(process.execPath, [...flags, ...argv], { env })).stdout;
}

/** The line of `./sutaz ps --all` for a unit, and its entry with `--json`. */
async function shown(name: string) {
  const state = JSON.parse(await sutaz('ps', '--all', '--json')) as ApiState;
  const line = (await sutaz('ps', '--all')).split('\n').find((text) => text.startsWith(`${name} `)) ?? '';
  return { unit: state.units.find((unit) => unit.name === name), line };
}

/** Follows what is told of a unit from here on: the types, in their order. */
async function follow(name: string) {
  const { seen, stop } = followEvents(platform);
  await until(() => seen.length > 0, 'the stream of events to begin');
  const types = () =>
    seen.flatMap(({ event, data }) =>
      event === 'log' && (data as ApiEvent).unit === `service/${name}` ? [(data as ApiEvent).type] : [],
    );
  return { types, stop };
}

interface Asked {
  readonly ms: number;
  readonly status: number;
}

/** Asks the good one every 50 ms, whether or not it has answered those before, until it is told to stop. */
function neighbour(): { readonly settled: Asked[]; stop(): Promise<readonly Asked[]> } {
  const settled: Asked[] = [];
  const one = async () => {
    const began = performance.now();
    const response = await ask('good', '/work?ms=0&bytes=100').catch(() => null);
    const whole = (await response?.text().catch(() => ''))?.length === 100;
    settled.push({ ms: performance.now() - began, status: whole ? (response?.status ?? 0) : 0 });
  };
  const asked: Promise<void>[] = [];
  const timer = setInterval(() => asked.push(one()), 50);
  return {
    settled,
    async stop() {
      clearInterval(timer);
      await Promise.all(asked);
      return settled;
    },
  };
}

const quantile = (asked: readonly Asked[], q: number): number =>
  asked.map(({ ms }) => ms).sort((a, b) => a - b)[Math.floor(q * (asked.length - 1))] ?? NaN;

/**
 * Runs a story beside the good one, which is awake before it begins. Bounds are generous, since the machine does other
 * things as well: what they catch is a neighbour that waits for the bad one's start, stop or eviction, or fails.
 */
async function besideGood(story: () => Promise<void>): Promise<void> {
  const { pid } = await held('good');
  const before = neighbour();
  await until(() => before.settled.length >= 20, 'twenty answers of the neighbour');
  const usual = quantile(await before.stop(), 0.5);
  const during = neighbour();
  try {
    await story();
  } finally {
    await during.stop();
  }
  const asked = during.settled;
  expect(asked.length).toBeGreaterThan(10);
  expect(asked.filter(({ status }) => status !== 200)).toEqual([]);
  expect(quantile(asked, 0.5)).toBeLessThan(usual + 25);
  expect(quantile(asked, 0.95)).toBeLessThan(usual + 150);
  expect((await held('good')).pid).toBe(pid);
}

describe('a service that takes ten times what it declares', () => {
  const liar: Holder = { id: 'liar', memory: '40MiB', flags: ['--ballast-after', 400] };
  const bystander: Holder = { id: 'bystander', memory: '256MiB', flags: ['--hold', 180] };

  it('is charged what it is seen to use; an idle one makes room, and the next start reserves what was learned', async () => {
    await start('720MiB', liar, bystander);
    await besideGood(async () => {
      expect((await ask('bystander')).status).toBe(200);
      const busy = new AbortController();
      const stream = await ask('liar', '/work?ms=60000', { signal: busy.signal });
      expect((await platform.unit('liar')).bytes).toMatchObject({ declared: 40 * MiB, reserved: 40 * MiB });
      const relieved = await platform.untilState('bystander', 'cold');
      // Who is busy is not ended, though it is the one that lied.
      expect(relieved.why).toMatch(/^[\d.]+ MiB were in use of 720 MiB$/);
      // It was relieved while the liar was still growing.
      const measured = async () => (await ledger()).lines.find(({ id }) => id === 'service/liar')?.measured;
      await expect.poll(measured, { timeout: 10_000 }).toBeGreaterThan(400 * MiB);
      const { freeBytes, limitBytes } = await ledger();
      expect(freeBytes).toBeLessThan(limitBytes - 400 * MiB);
      expect((await shown('bystander')).line).toContain('MiB were in use of 720 MiB');
      expect(await sutaz('why', 'bystander')).toContain('MiB were in use of 720 MiB');
      expect(await sutaz('why', 'liar')).toMatch(/^liar is ready .*busy with 1 of 32/);
      expect(await platform.unit('liar')).toMatchObject({ state: 'ready', leases: 1 });
      busy.abort();
      await stream.text().catch(() => 'left');

      expect((await platform.fetch('/sutaz/v1/units/liar/stop?force=true', { method: 'POST' })).status).toBe(200);
      await platform.untilState('liar', 'cold');
      expect((await ask('liar')).status).toBe(200);
      expect((await platform.unit('liar')).bytes.reserved).toBeGreaterThan(400 * MiB);
    });
  });

  it('is stopped once it is idle when it alone is too large, and refused from then on with the sums', async () => {
    await start('400MiB', { ...liar, id: 'outgrown' });
    await besideGood(async () => {
      expect((await ask('outgrown')).status).toBe(200);
      const stopped = await platform.untilState('outgrown', 'cold');
      expect(stopped.why).toMatch(/MiB were in use of 400 MiB$/);
      expect(processes('outgrown')).toEqual([]);
      const refused = await ask('outgrown');
      expect(refused.status).toBe(503);
      expect(await refused.json()).toMatchObject({ code: 'NO_MEMORY', limitBytes: 400 * MiB });
      const { unit, line } = await shown('outgrown');
      expect(unit?.why).toContain('the limit is 400 MiB');
      expect(line).toContain('the limit is 400 MiB');
      expect(await sutaz('why', 'outgrown')).toMatch(/the limit is 400 MiB.*\n\n.*It cannot start/s);
    });
  });
});

/** It failed three times, with its reason at every place that people look at, and nothing of it is left. */
async function expectQuarantined(name: string, reason: RegExp, log: RegExp): Promise<void> {
  const events = await follow(name);
  const response = await ask(name);
  expect(response.status).toBe(503);
  const told = (await response.json()) as { code: string; detail: string };
  expect(told.code).toBe('START_FAILED');
  expect(told.detail).toMatch(reason);
  const unit = await platform.unit(name);
  expect(unit.state).toBe('quarantined');
  expect(unit.why).toMatch(reason);
  expect(unit.failure?.message).toMatch(reason);
  expect(unit.failure?.log.join('\n')).toMatch(log);
  expect(Date.parse(unit.failure?.retryAt ?? '')).toBeGreaterThan(Date.now());
  await until(() => events.types().filter((type) => type === 'failed').length === 3, 'three failures told');
  expect(events.types()).toEqual(['start', 'failed', 'start', 'failed', 'start', 'failed']);
  await events.stop();
  expect(processes(name)).toEqual([]);
  expect((await ledger()).lines.map(({ id }) => id)).not.toContain(`service/${name}`);
  const seen = await shown(name);
  expect(seen.unit).toMatchObject({ state: 'quarantined', failure: { message: expect.stringMatching(reason) } });
  expect(seen.unit?.failure?.log.join('\n')).toMatch(log);
  expect(seen.line).toMatch(/ quarantined /);
  expect(seen.line).toMatch(reason);
  const why = await sutaz('why', name);
  expect(why).toMatch(new RegExp(`^${name} is quarantined: could not be started: .*left alone for`));
  expect(why).toMatch(reason);
  expect(why.replaceAll(/^ +/gm, '')).toMatch(log);
  expect(why).toContain(`sutaz start ${name}`);
  expect(await sutaz('logs', name)).toMatch(log);
  // It is left alone: the next caller is told at once.
  const began = performance.now();
  expect((await ask(name)).status).toBe(503);
  expect(performance.now() - began).toBeLessThan(1_000);
  expect(processes(name)).toEqual([]);
}

describe('a service that cannot start', () => {
  it('because it never becomes healthy is ended at its time, tried again, then left alone', async () => {
    const flags = ['--hold', 60, '--never-healthy'];
    await start('600MiB', { id: 'never', memory: '128MiB', startupTimeout: '700ms', flags });
    await besideGood(() =>
      expectQuarantined('never', /was not healthy within 700 ms: \/health answers 503/, /process \d+ holds 60 MB/),
    );
  });

  it('because it dies on the way is tried again, then left alone', async () => {
    const flags = ['--hold', 60, '--start-ms', 20_000, '--die-after', 300];
    await start('600MiB', { id: 'dying', memory: '128MiB', flags });
    await besideGood(() =>
      expectQuarantined('dying', /exit code 7: gives up after 300 ms/, /holds 60 MB\n(.*\n)*gives up after 300 ms/),
    );
  });
});

describe('a service that does not go', () => {
  it('ignores SIGTERM: it holds its bytes through its grace, then is killed', async () => {
    const stubborn: Holder = {
      ...{ id: 'stubborn', memory: '160MiB', flags: ['--hold', 60, '--ignore-term'] },
      ...{ idle: { after: '300ms', rung: 'cold' }, extra: 'stop: { grace: 1s }' },
    };
    await start('600MiB', stubborn);
    await besideGood(async () => {
      const { pid } = await held('stubborn');
      const stopping = await platform.untilState('stubborn', 'stopping');
      const began = performance.now();
      expect(stopping.why).toMatch(/^stopping: nobody used it for/);
      expect(stopping.bytes.reserved).toBe(160 * MiB);
      expect(exited(pid)).toBe(false);
      const cold = await platform.untilState('stubborn', 'cold');
      const ms = performance.now() - began;
      expect(ms).toBeGreaterThan(700);
      expect(ms).toBeLessThan(4_000);
      expect(exited(pid)).toBe(true);
      // Being killed at the end of its grace is no failure of it: it went to sleep.
      expect(cold).toMatchObject({ why: expect.stringMatching(/^nobody used it for/), failure: null });
      expect((await shown('stubborn')).unit).toMatchObject({ state: 'cold', failure: null });
      expect(await sutaz('logs', 'stubborn')).toContain('SIGTERM is ignored');
      expect(await sutaz('why', 'stubborn')).toMatch(/^stubborn is cold: nobody used it for/);
      expect((await ask('stubborn')).status).toBe(200);
    });
  });

  it('leaves children when it dies: they are measured with it, go with it, and the next request starts anew', async () => {
    const flags = ['--fork', 2, '--child-hold', 80, '--ignore-term', '--die-after', 6_000];
    await start('900MiB', { id: 'forker', memory: '64MiB', flags });
    await besideGood(async () => {
      const before = await held('forker');
      expect(before.children).toHaveLength(2);
      // In sessions of their own, where no signal to the first one's group reaches them.
      expect(processes('forker').map(({ pid }) => pid)).toEqual(expect.arrayContaining(before.children));
      const measured = async () => (await platform.unit('forker')).bytes.measured ?? 0;
      await until(async () => (await measured()) > 180 * MiB, 'the children to be measured');
      await until(() => exited(before.pid), 'its end');
      const failed = await platform.untilState('forker', 'backoff', 'cold');
      expect(before.children.filter((pid) => !exited(pid))).toEqual([]);
      expect(failed.why).toMatch(/^ended by itself: ended with exit code 7: gives up after 6000 ms/);
      expect(failed.failure?.log.join('\n')).toContain('gives up after 6000 ms');
      const { line } = await shown('forker');
      expect(line).toContain('ended with exit code 7: gives up after 6000 ms');
      expect(await sutaz('why', 'forker')).toContain('ended by itself: ended with exit code 7: gives up after 6000 ms');
      expect(await sutaz('logs', 'forker')).toContain('gives up after 6000 ms');
      expect(processes('forker')).toEqual([]);
      expect((await ledger()).lines.map(({ id }) => id)).not.toContain('service/forker');
      const after = await held('forker');
      expect(after.pid).not.toBe(before.pid);
    });
  });
});
