import { afterEach, expect, it } from 'vitest';
import type { ApiState } from '#contracts/api';
import { echoService, root, startPlatform } from './_platform.ts';
import type { StartOptions, TestPlatform } from './_platform.ts';
import { exited, until } from './_processes.ts';

let platform: TestPlatform;
const start = async (options: StartOptions) => (platform = await startPlatform(options));
afterEach(async () => void (await platform.stop()));

const catalog = (idle: string, more = '{ min: 1, max: 3 }') => ({
  'services/many.yaml': echoService('many', { dir: `${root}test`, idle, extra: `replicas: ${more}\n` }).replace(
    'resources: { memory: 64MiB }',
    'resources: { memory: 64MiB, concurrency: 1 }',
  ),
});

interface Answer {
  readonly status: number;
  readonly pid: number;
}

async function slow(ms: number, method = 'GET'): Promise<Answer> {
  const response = await platform.fetch(`/services/many/slow?ms=${ms}`, { method });
  await response.text();
  return { status: response.status, pid: Number(response.headers.get('x-pid')) };
}

const parallel = (count: number, ms: number) => Promise.all(Array.from({ length: count }, () => slow(ms)));
const pidsOf = (answers: readonly Answer[]) => new Set(answers.map(({ pid }) => pid));

/** The instances there are, by unit. */
async function instances(state?: ApiState): Promise<Map<string, number>> {
  const { units } = state ?? (await platform.state());
  const found = units.filter(({ id, instance }) => id.startsWith('service/many') && instance?.pid);
  return new Map(found.map(({ id, instance }) => [id, instance?.pid ?? 0]));
}

const ready = async (): Promise<number> =>
  (await platform.state()).units.filter(({ id, state }) => id.startsWith('service/many') && state === 'ready').length;

/** Looks at the state over and over until the work is done; what was seen of it. */
async function watched<T>(work: Promise<T>): Promise<{ readonly result: T; readonly states: readonly ApiState[] }> {
  const states: ApiState[] = [];
  let done = false;
  const mark = () => void (done = true);
  work.then(mark, mark);
  const look = async () => {
    states.push(await platform.state());
    return done;
  };
  await until(look, 'the work to be done', 60_000);
  return { result: await work, states };
}

/** Brings up all three. */
async function grow(): Promise<void> {
  await parallel(10, 500);
  await until(async () => (await ready()) === 3, 'three instances');
}

it('several processes serve one queue, no more than allowed, and go when there is nothing for them', async () => {
  await start({ catalog: catalog('1500ms'), memory: '1GiB' });
  const { result, states } = await watched(parallel(12, 500));
  expect(result.map(({ status }) => status)).toEqual(result.map(() => 200));
  expect(pidsOf(result).size).toBe(3);
  const counts = await Promise.all(states.map(async (state) => (await instances(state)).size));
  expect(Math.max(...counts)).toBe(3);
  // Not more requests at once in any of them than its definition allows.
  for (const { units } of states) for (const { leases } of units) expect(leases).toBeLessThanOrEqual(1);
  const pids = await instances();
  expect([...pids.keys()].sort()).toEqual(['service/many', 'service/many~2', 'service/many~3']);
  // While somebody uses the first one, the copies have nothing to do.
  const busy = slow(4_000);
  await until(async () => (await instances()).size === 1, 'the copies to go');
  expect([...(await instances())]).toEqual([['service/many', pids.get('service/many')]]);
  expect((await busy).status).toBe(200);
  for (const [unit, pid] of pids) if (unit !== 'service/many') expect(exited(pid)).toBe(true);
});

it('copies come only as far as the limit of memory allows', async () => {
  await start({ catalog: catalog('10m'), memory: '150MiB' });
  const { result, states } = await watched(parallel(12, 400));
  expect(result.map(({ status }) => status)).toEqual(result.map(() => 200));
  expect(pidsOf(result).size).toBe(2);
  for (const { ledger } of states) expect(ledger.reservedBytes).toBeLessThanOrEqual(ledger.limitBytes);
});

it.each(['GET', 'POST'])('a copy that is killed takes its own request along at most, here a %s', async (method) => {
  await start({ catalog: catalog('10m'), memory: '1GiB' });
  await grow();
  const asked = Array.from({ length: 3 }, () => slow(3_000, method));
  const busy = async () => (await platform.state()).units.filter(({ leases }) => leases === 1).length === 3;
  await until(busy, 'each of them to have a request');
  const waiting = slow(10);
  const victim = (await instances()).get('service/many~2') ?? 0;
  process.kill(victim, 'SIGKILL');
  const answers = await Promise.all(asked);
  // What only reads is done once more, by another copy.
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 200, method === 'GET' ? 200 : 502]);
  expect(pidsOf(answers).has(victim)).toBe(false);
  expect((await waiting).status).toBe(200);
  expect(pidsOf(await parallel(6, 50)).has(victim)).toBe(false);
});

it('a platform that was killed takes over the copies with their processes', async () => {
  await start({ catalog: catalog('10m'), memory: '1GiB' });
  await grow();
  const before = await instances();
  expect(before.size).toBe(3);
  await platform.kill9();
  await start({ catalog: catalog('10m'), memory: '1GiB' });
  expect(await instances()).toEqual(before);
  expect([...pidsOf(await parallel(9, 300))].sort()).toEqual([...before.values()].sort());
  await platform.kill9();
  // Those for which there is no place any more end; the others stay.
  await start({ catalog: catalog('10m', '{ max: 2 }'), memory: '1GiB' });
  const [first, second, third] = [...before.values()];
  expect([...(await instances()).values()]).toEqual([first, second]);
  await until(() => exited(third ?? 0), 'the third to end');
});

it('copies are named by operators only, and stop with their unit', async () => {
  await start({ catalog: catalog('10m', '{ min: 2, max: 3 }'), memory: '1GiB' });
  expect((await slow(1)).status).toBe(200);
  await until(async () => (await ready()) === 2, 'the second to come with the first');
  expect((await platform.fetch('/services/many~2/x')).status).toBe(404);
  const ask = (path: string, method = 'GET') => platform.fetch(`/sutaz/v1/units/${path}`, { method });
  expect(await platform.unit('many~2')).toMatchObject({ id: 'service/many~2', copyOf: 'service/many', url: null });
  expect((await ask('many~4')).status).toBe(404);
  expect((await ask('many~2/start', 'POST')).status).toBe(409);
  expect((await ask('many~2/pin', 'POST')).status).toBe(409);
  await Promise.all([slow(300), slow(300)]);
  const both = await (await ask('many/logs')).text();
  expect(both).toMatch(/^many {3}\| slow in \d+$/m);
  expect(both).toMatch(/^many~2 \| slow in \d+$/m);
  expect(await (await ask('many~2/logs')).text()).toMatch(/^slow in \d+\n/);
  const pids = [...(await instances()).values()];
  expect((await ask('many/stop', 'POST')).status).toBe(200);
  await until(() => pids.every((pid) => exited(pid)), 'all of them to end');
  expect(await instances()).toEqual(new Map());
});
