import { expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { Fault } from '#kernel/faults';
import { silentLogger } from '#kernel/logger';
import type { GpuSnapshot } from '#runtime/gpu';
import { createScheduler } from '#scheduler/run-loop';
import { defaultSettings, oneReplica, plainRungs } from '#scheduler/types';
import type { UnitSpec } from '#scheduler/types';
import { createCards } from './cards.ts';

const GiB = 2 ** 30;
const a = unitId('model', 'a');
const spec: UnitSpec = {
  ...{ id: a, tier: 'on-demand', priority: 50, declaredBytes: 10, learnedBytes: null, learnedAs: '', slots: 1 },
  ...{ idleAfterMs: 60_000, idleRung: 'cold', startMs: null, rungs: plainRungs, prewarm: true, replicas: oneReplica },
  vram: { device: 'gpu0', bytes: 4 * GiB },
};

/** A card of 10 GiB with a unit on it that was admitted with 4; `process.pid` is the leader of the instance's group. */
function placed(instances: readonly { unit: UnitId; pid: number }[]) {
  const clock = fakeClock();
  const effects = { start: () => undefined, stop: () => undefined, freeze: () => undefined, thaw: () => undefined };
  const scheduler = createScheduler({ settings: defaultSettings, limitBytes: 100, clock, effects });
  let now: GpuSnapshot | null | Fault = null;
  const cards = createCards({
    ...{ clock, scheduler, log: silentLogger, reserveBytes: () => GiB / 2, instances: () => instances },
    reader: { read: () => (now instanceof Fault ? Promise.reject(now) : Promise.resolve(now)) },
  });
  const look = (usedBytes: number, ...uses: readonly (readonly [number, number | null])[]) => {
    const gpus = [{ index: 0, uuid: 'GPU-0', name: 'A card', totalBytes: 10 * GiB, usedBytes }];
    now = { gpus, uses: uses.map(([pid, bytes]) => ({ pid, bytes, uuid: 'GPU-0' })) };
    return cards.look();
  };
  return { scheduler, cards, look, clock, say: (next: typeof now) => (now = next) };
}

/** What the process of this test is the group of: a group has the number of its leader, which may be another process. */
const ownGroup = async (): Promise<number> => {
  const { readFile } = await import('node:fs/promises');
  const stat = await readFile('/proc/self/stat', 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
};

it('without a program that knows of cards there are none', async () => {
  const { cards, scheduler } = placed([]);
  await cards.look();
  expect([cards.list(), scheduler.state.devices.size]).toEqual([[], 0]);
});

it('units may hold what is left by a reserve and by other programs, in steps', async () => {
  const { cards, look, scheduler } = placed([]);
  await look(0);
  expect(cards.list()).toMatchObject([{ id: 'gpu0', uuid: 'GPU-0', limitBytes: 9.5 * GiB, otherBytes: 0 }]);
  await look(2 * GiB + 1);
  expect(scheduler.state.devices.get('gpu0')?.limitBytes).toBe(7.25 * GiB);
  await look(12 * GiB);
  expect(scheduler.state.devices.get('gpu0')?.limitBytes).toBe(0);
});

it('what an instance holds is its own and not of others, and the scheduler is told of it', async () => {
  const { cards, look, scheduler } = placed([{ unit: a, pid: await ownGroup() }]);
  await look(0);
  scheduler.dispatch({ kind: 'configure', units: [spec], found: [{ unit: a, frozen: false }] });
  await look(7 * GiB, [process.pid, 5 * GiB]);
  expect(cards.list()).toMatchObject([{ measuredBytes: 5 * GiB, otherBytes: 2 * GiB, limitBytes: 7.5 * GiB }]);
  expect(scheduler.state.units.get(a)?.card).toMatchObject({ measured: 5 * GiB, learned: 5 * GiB });
  expect(scheduler.state.devices.get('gpu0')?.charged).toBe(5 * GiB);
});

it('where the driver keeps to itself what a process holds, units are taken to hold what they were admitted with', async () => {
  const { cards, look, scheduler } = placed([{ unit: a, pid: await ownGroup() }]);
  await look(0);
  scheduler.dispatch({ kind: 'configure', units: [spec], found: [{ unit: a, frozen: false }] });
  await look(5 * GiB, [process.pid, null]);
  expect(cards.list()).toMatchObject([{ measuredBytes: null, otherBytes: GiB, limitBytes: 8.5 * GiB }]);
  expect(scheduler.state.units.get(a)?.card.measured).toBeNull();
});

it('a driver that does not answer leaves what was known, and a card that comes back is looked at again', async () => {
  const { cards, look, say, clock } = placed([]);
  await look(0);
  let changes = 0;
  const stop = cards.follow(() => changes++);
  say(new Fault('UPSTREAM_FAILED', 'nvidia-smi failed'));
  await clock.advance(10_000);
  expect([cards.list().length, changes]).toEqual([1, 0]);
  say({ gpus: [], uses: [] });
  await expect.poll(async () => (await clock.advance(10_000), changes)).toBe(1);
  expect(cards.list()).toEqual([]);
  stop();
});
