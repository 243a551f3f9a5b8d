import { describe, expect, it } from 'vitest';
import { simulate } from '../engine.ts';
import { ask, fleet } from '../machines.fake.ts';
import type { Policy } from '../policy.ts';
import type { Arrival } from '../trace.ts';
import type { UnitsFile } from '../units.ts';
import { policies } from './index.ts';
import { simulatedSettings } from './sutaz.ts';

/** Plays it, and notes what was done: `start a`, `stop b`, with the time before. */
function play(name: string, units: UnitsFile, arrivals: readonly Arrival[]) {
  const policy = policies[name]?.({ limitBytes: units.limitBytes, settings: simulatedSettings, arrivals });
  if (!policy) throw new Error(`no ${name}`);
  const done: string[] = [];
  const noting: Policy = {
    ...policy,
    step(event, now) {
      const effects = policy.step(event, now);
      for (const { kind, unit } of effects) {
        if (kind === 'start' || kind === 'stop' || kind === 'freeze') done.push(`${now} ${kind} ${unit.slice(6)}`);
      }
      return effects;
    },
  };
  const outcome = simulate(units, arrivals, noting);
  return { ...outcome, waits: [...outcome.waits], done, starts: done.filter((line) => line.includes(' start ')) };
}

/** Two of these fit. Each starts in 1 s and stops in 200 ms. */
const three = fleet(20, [{ id: 'a' }, { id: 'b' }, { id: 'c' }]);
/** One of these fits. */
const narrow = fleet(10, [{ id: 'a' }, { id: 'b' }, { id: 'c' }]);
const names = Object.keys(policies);
const baselines = names.filter((name) => name !== 'sutaz');

describe('every policy', () => {
  it.each(names)('%s starts what is asked for, and serves at once what is ready', (name) => {
    const { waits, coldStarts } = play(name, three, [ask(0, 'a'), ask(2_000, 'a'), ask(3_000, 'b')]);
    expect(waits).toEqual([1_000, 0, 1_000]);
    expect(coldStarts).toBe(2);
  });

  it.each(names)('%s serves as many at once as there are slots', (name) => {
    const units = fleet(10, [{ id: 'a', concurrency: 2 }]);
    const { waits } = play(name, units, [ask(0, 'a'), ask(0, 'a'), ask(0, 'a'), ask(0, 'a')]);
    expect(waits).toEqual([1_000, 1_000, 1_100, 1_100]);
  });

  it.each(names)('%s refuses what can never fit, and who waits past the deadline', (name) => {
    const units = fleet(10, [{ id: 'a' }, { id: 'huge', bytes: 11 }]);
    const late = play(name, units, [ask(0, 'huge'), ask(0, 'a', { deadlineMs: 999 }), ask(5_000, 'a')]);
    expect(late.waits.slice(0, 2)).toEqual([NaN, NaN]);
    expect(late.waits[2]).toBeLessThanOrEqual(1_000);
  });

  it.each(names)('%s never lets go of what is always on', (name) => {
    const units = fleet(20, [{ id: 'core', tier: 'core' }, { id: 'a' }, { id: 'b' }, { id: 'huge', bytes: 11 }]);
    const arrivals = [ask(20_000, 'a'), ask(40_000, 'b'), ask(60_000, 'core'), ask(80_000, 'huge')];
    const { waits, done } = play(name, units, arrivals);
    expect(waits).toEqual([1_000, 1_200, 0, NaN]);
    expect(done[0]).toBe('0 start core');
    expect(done.filter((line) => line.includes('core'))).toHaveLength(1);
  });

  it.each(names)('%s waits for what is busy rather than stop it', (name) => {
    const { waits, done } = play(name, narrow, [ask(0, 'a', { serviceMs: 20_000 }), ask(10_000, 'b')]);
    expect(done).toEqual(['0 start a', '21000 stop a', '21200 start b']);
    expect(waits).toEqual([1_000, 12_200]);
  });

  it.each(names)('%s serves together who waits for the same unit, but for ollama', (name) => {
    // b, c, b, c, b, c while a is busy.
    const six = [1, 2, 3, 4, 5, 6].map((t) => ask(t, t % 2 === 1 ? 'b' : 'c'));
    const { starts } = play(name, narrow, [ask(0, 'a', { serviceMs: 9_000 }), ...six]);
    const order = starts.map((line) => line.slice(-1)).join('');
    expect(order).toBe(name === 'ollama' ? 'abcbcbc' : 'abc');
  });
});

describe('lru', () => {
  it('lets go of what was used least recently', () => {
    const { done } = play('lru', three, [ask(0, 'a'), ask(0, 'b'), ask(10_000, 'a'), ask(20_000, 'c')]);
    expect(done.slice(2)).toEqual(['20000 stop b', '20200 start c']);
  });

  it('brings nothing up before the one that has waited longest', () => {
    const units = fleet(20, [{ id: 'a' }, { id: 'wide', bytes: 20 }, { id: 'b' }]);
    const arrivals = [ask(0, 'a', { serviceMs: 9_000 }), ask(5_000, 'wide'), ask(5_001, 'b')];
    expect(play('lru', units, arrivals).starts.map((line) => line.slice(-1))).toEqual(['a', 'e', 'b']);
    // It passes by what cannot be had yet.
    expect(play('llama-swap', units, arrivals).starts.map((line) => line.slice(-1))).toEqual(['a', 'b', 'e']);
  });

  it('stops no more than is needed', () => {
    const units = fleet(20, [
      { id: 'small', bytes: 5 },
      { id: 'large', bytes: 15 },
      { id: 'new', bytes: 14 },
    ]);
    const { done } = play('lru', units, [ask(0, 'small'), ask(10, 'large'), ask(10_000, 'new')]);
    expect(done.slice(2)).toEqual(['10000 stop large', '10200 start new']);
  });
});

describe('llama-swap', () => {
  const two = [ask(0, 'a'), ask(1, 'b')];
  it('brings up several at once, its older releases one after the other', () => {
    expect(play('llama-swap', three, two).starts).toEqual(['0 start a', '1 start b']);
    expect(play('llama-swap-serial', three, two).starts).toEqual(['0 start a', '1000 start b']);
  });

  it('has whoever asks for what is being brought up join', () => {
    expect(play('llama-swap', narrow, [ask(0, 'a'), ask(500, 'a')]).waits).toEqual([1_000, 500]);
  });
});

describe('ollama', () => {
  it('loads one after the other', () => {
    expect(play('ollama', three, [ask(0, 'a'), ask(1, 'b')]).starts).toEqual(['0 start a', '1000 start b']);
  });

  it('keeps those behind the first in line waiting, also for what could be had, but not who asks for what is loaded', () => {
    const units = fleet(20, [{ id: 'a' }, { id: 'wide', bytes: 20 }, { id: 'b' }]);
    const arrivals = [ask(0, 'a', { serviceMs: 9_000 }), ask(5_000, 'wide'), ask(5_001, 'b'), ask(5_002, 'a')];
    const { waits, starts } = play('ollama', units, arrivals);
    expect(starts).toEqual(['0 start a', '10200 start wide', '11500 start b']);
    expect(waits).toEqual([1_000, 6_200, 7_499, 0]);
  });

  it('unloads what was not used for five minutes', () => {
    const { done, waits } = play('ollama', three, [ask(0, 'a'), ask(200_000, 'a'), ask(600_000, 'a')]);
    expect(done).toEqual(['0 start a', '500100 stop a', '600000 start a']);
    expect(waits).toEqual([1_000, 0, 1_000]);
  });

  it('unloads the one with the shortest remaining time, one at a time', () => {
    const units = fleet(20, [{ id: 'a' }, { id: 'b' }, { id: 'wide', bytes: 20 }]);
    // The last request has it look again while b is being stopped.
    const arrivals = [ask(0, 'a'), ask(0, 'b'), ask(10_000, 'a'), ask(20_000, 'wide'), ask(20_100, 'wide')];
    expect(play('ollama', units, arrivals).done.slice(2)).toEqual([
      ...['20000 stop b', '20200 stop a', '20400 start wide'],
    ]);
  });

  it('goes on when the first in line leaves', () => {
    const arrivals = [ask(0, 'a', { serviceMs: 60_000 }), ask(1_500, 'b', { deadlineMs: 100 }), ask(1_501, 'a')];
    expect(play('ollama', narrow, arrivals).waits).toEqual([1_000, NaN, 0]);
  });
});

describe('clairvoyant', () => {
  /** A loop over three where two fit: the least recently used one is always the next to be needed. */
  const loop = Array.from({ length: 30 }, (_, i) => ask(i * 10_000, 'abc'.charAt(i % 3)));
  it('keeps what is needed next, as no policy can that does not know the future', () => {
    expect(play('lru', three, loop).coldStarts).toBe(30);
    // Belady's rule for a loop over three in two places: every second one is there.
    expect(play('clairvoyant', three, loop).coldStarts).toBe(16);
  });

  it('lets go first of what is never asked for again', () => {
    const arrivals = [ask(0, 'a'), ask(5_000, 'b'), ask(10_000, 'c'), ask(20_000, 'a')];
    expect(play('clairvoyant', three, arrivals).done).toContain('10000 stop b');
    expect(play('lru', three, arrivals).done).toContain('10000 stop a');
  });
});

describe('the comparison policies', () => {
  it.each(baselines)('%s never freezes', (name) => {
    const units = fleet(
      20,
      ['a', 'b', 'c'].map((id) => ({ id, frozenBytes: 1 })),
    );
    const { thaws, done } = play(name, units, [ask(0, 'a'), ask(20_000, 'b'), ask(40_000, 'c'), ask(60_000, 'a')]);
    expect(thaws).toBe(0);
    expect(done.some((line) => line.includes('freeze'))).toBe(false);
  });
});

describe('copies', () => {
  /** One unit that more is asked of than one can do, beside two that are asked for now and then. */
  const hot = (maxReplicas: number) =>
    fleet(60, [
      { id: 'hot', concurrency: 1, startMs: 2_000, maxReplicas },
      { id: 'b', concurrency: 4 },
      { id: 'c', concurrency: 4 },
    ]);
  const arrivals = Array.from({ length: 600 }, (_, i) =>
    i % 20 === 19 ? ask(i * 500, i % 40 === 39 ? 'b' : 'c') : ask(i * 500, 'hot', { serviceMs: 1_200 }),
  );
  const mean = (waits: readonly number[]) => waits.reduce((sum, ms) => sum + ms, 0) / waits.length;

  it('cut the waits for a unit of which more is asked than one instance can do', () => {
    const [one, three] = [play('sutaz', hot(1), arrivals), play('sutaz', hot(3), arrivals)];
    expect(mean(one.waits)).toBeGreaterThan(100_000);
    expect(mean(three.waits)).toBeLessThan(2_000);
    expect(three.done.some((line) => line.endsWith('start hot~3'))).toBe(true);
    expect(three.maxReservedBytes).toBeLessThanOrEqual(60);
  });

  // `foresight` is the scheduler too.
  it.each(baselines.filter((name) => name !== 'foresight'))('%s knows none', (name) => {
    const [one, three] = [play(name, hot(1), arrivals), play(name, hot(3), arrivals)];
    expect(three.done).toEqual(one.done);
    expect(three.waits).toEqual(one.waits);
  });
});

describe('sutaz', () => {
  const units = (frozenBytes: number) =>
    fleet(
      20,
      ['a', 'b', 'c'].map((id) => ({ id, bytes: 9, frozenBytes, startMs: 5_000 })),
    );
  const arrivals = [ask(0, 'a'), ask(20_000, 'b'), ask(40_000, 'c'), ask(60_000, 'a'), ask(80_000, 'b')];

  it('freezes rather than stops where that costs little, and thaws again', () => {
    const { coldStarts, thaws, waits, done } = play('sutaz', units(1), arrivals);
    expect(done.filter((line) => line.includes(' stop '))).toEqual([]);
    expect(done.some((line) => line.includes(' freeze '))).toBe(true);
    expect(coldStarts).toBe(3);
    expect(thaws).toBeGreaterThanOrEqual(1);
    // A freeze of 20 ms and a thaw of 50 ms, where a stop and a start would take more than 5 s.
    expect(Math.max(...waits.slice(3))).toBeLessThanOrEqual(70);
  });

  it('stops where freezing gains nothing', () => {
    const { thaws, done } = play('sutaz', units(9), arrivals);
    expect(done.some((line) => line.includes(' stop '))).toBe(true);
    expect([thaws, done.filter((line) => line.includes(' freeze '))]).toEqual([0, []]);
  });
});
