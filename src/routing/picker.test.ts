import { describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { unitId } from '#kernel/ids';
import { defaultBreaker } from '#resilience/breaker';
import { defaultCanary } from '#resilience/canary';
import { defaultOutlier } from '#resilience/outlier';
import { anyPlace, createPicker } from './picker.ts';
import type { Picker } from './picker.ts';
import { plainPolicy } from './picker.fake.ts';
import { createPickers } from './pickers.ts';
import type { Place, Policy } from './policy.ts';

const unit = unitId('service', 'x');
const placeAt = (url: string): Place => ({ url, weight: 1, target: { origin: url, basePath: '', key: null } });
const [a, b, c] = ['http://a', 'http://b', 'http://c'] as const;

function bench(more: Partial<Policy> = {}, random: () => number = Math.random) {
  const clock = fakeClock();
  const policy: Policy = {
    ...plainPolicy,
    ...{ places: [a, b, c].map(placeAt), balance: 'round-robin', breaker: { ...defaultBreaker, failures: 2 } },
    ...more,
  };
  return { clock, policy, picker: createPicker({ unit, policy, clock, random }) };
}

const ask = (picker: Picker, outcome: (id: string) => 'ok' | 'failed' = () => 'ok', avoid = new Set<string>()) => {
  const placed = picker.pick({ key: null, avoid });
  if (outcome(placed.id) === 'ok') placed.answered(5);
  placed.settle(outcome(placed.id), 'refused');
  return placed.id;
};
const asks = (picker: Picker, count: number, outcome?: (id: string) => 'ok' | 'failed') =>
  Array.from({ length: count }, () => ask(picker, outcome));
const aFails = (id: string) => (id === a ? 'failed' : 'ok');

describe('a picker', () => {
  it('passes over what is left alone, and gives it a small part when it is back', () => {
    const { clock, picker } = bench({ outliers: { ...defaultOutlier, returnMs: 10_000 } });
    asks(picker, 6, aFails);
    expect(picker.view().upstreams[0]).toMatchObject({ id: a, state: 'open', why: 'refused', leftMs: 1_000 });
    expect(asks(picker, 20)).not.toContain(a);
    clock.advance(1_000);
    expect(asks(picker, 3)).toContain(a);
    const part = asks(picker, 105).filter((id) => id === a).length;
    expect(part).toBeGreaterThan(2);
    expect(part).toBeLessThan(10);
    clock.advance(10_000);
    expect(asks(picker, 30).filter((id) => id === a).length).toBe(10);
  });

  it('goes elsewhere for another try, and to the same when there is nothing else', () => {
    const { picker } = bench();
    for (let n = 0; n < 6; n++) expect(ask(picker, undefined, new Set([a, b]))).toBe(c);
    expect(picker.hasOther(new Set([a, b]))).toBe(true);
    expect(picker.hasOther(new Set([a, b, c]))).toBe(false);
    expect([a, b, c]).toContain(ask(picker, undefined, new Set([a, b, c])));
  });

  it('says which are left alone, why and for how long, when all of them are', () => {
    const { picker } = bench();
    asks(picker, 6, () => 'failed');
    expect(() => picker.pick(anyPlace)).toThrow(
      expect.objectContaining({
        code: 'CIRCUIT_OPEN',
        retryAfter: 1,
        message: expect.stringContaining(`${b}: refused`),
      }),
    );
  });

  it('prefers who is well and does not rest, and takes the others rather than nobody', () => {
    const { clock, picker } = bench();
    picker.endpoints[0]?.checked(false, '/healthz answers 500');
    const tired = picker.pick({ key: null, avoid: new Set([a, c]) });
    tired.rest(5_000);
    tired.settle('loading');
    expect(new Set(asks(picker, 10))).toEqual(new Set([c]));
    expect(picker.view().upstreams.map(({ state }) => state)).toEqual(['unwell', 'resting', 'closed']);
    picker.endpoints[2]?.checked(false, 'gone');
    expect(new Set(asks(picker, 10)).size).toBe(3);
    clock.advance(5_000);
    expect(new Set(asks(picker, 10))).toEqual(new Set([b]));
  });

  it('gives a canary its share, until it fails more than the others', () => {
    const dice = { n: 0 };
    const canary = { ...defaultCanary, place: placeAt('http://new'), share: 0.25, atLeast: 5 };
    const { picker } = bench({ canary, breaker: null }, () => (dice.n++ % 4) / 4);
    const isNew = (id: string) => id === 'http://new';
    expect(asks(picker, 400).filter(isNew).length).toBe(100);
    asks(picker, 200, (id) => (isNew(id) ? 'failed' : 'ok'));
    expect(asks(picker, 400)).not.toContain('http://new');
    const told = picker.view().upstreams.at(-1);
    expect(told).toMatchObject({
      role: 'canary',
      state: 'withdrawn',
      why: expect.stringMatching(/of its .* answers failed/),
    });
  });

  it('keeps a breaker for each instance here, and begins anew with each process', () => {
    const { clock, picker } = bench({ places: [] });
    const at = (port: number) => picker.at(unit, { origin: `http://127.0.0.1:${port}`, basePath: '', key: null });
    for (let n = 0; n < 2; n++) at(1)?.settle('failed', 'it broke off');
    expect(at(1)).toBeNull();
    expect(picker.refusal()).toMatchObject({ code: 'CIRCUIT_OPEN', message: expect.stringContaining('it broke off') });
    expect(at(2)).not.toBeNull();
    clock.advance(1_000);
    expect(picker.view().upstreams).toMatchObject([{ id: unit, state: 'closed' }]);
  });
});

describe('pickers', () => {
  it('keep what they know over a change of something else, and begin anew when theirs changes', () => {
    const { clock, policy } = bench();
    let now = policy;
    const pickers = createPickers({ clock, policy: () => now, check: () => Promise.resolve(null) });
    const first = pickers.of(unit);
    pickers.refresh();
    expect(pickers.of(unit)).toBe(first);
    now = { ...policy, balance: 'hash' };
    pickers.refresh();
    expect(pickers.of(unit)).not.toBe(first);
  });

  it('ask how places are for as long as they are used, and leave the sick one out', async () => {
    const { clock, policy } = bench();
    const health = { path: '/healthz', intervalMs: 1_000, timeoutMs: 100, bad: 2, good: 1 };
    const asked: string[] = [];
    const sick = new Set<string>([b]);
    const pickers = createPickers({
      ...{ clock, policy: () => ({ ...policy, health }) },
      check: ({ id }) => (asked.push(id), Promise.resolve(sick.has(id) ? '/healthz answers 500' : null)),
    });
    const settle = () => new Promise((resolve) => setImmediate(resolve));
    const pass = async (seconds: number) => {
      for (let n = 0; n < seconds; n++) {
        clock.advance(1_000);
        await settle();
      }
    };
    const picker = pickers.of(unit);
    await settle();
    expect(asked.length).toBe(3);
    await pass(1);
    expect(picker.view().upstreams[1]).toMatchObject({ state: 'unwell', why: '/healthz answers 500' });
    sick.clear();
    await pass(1);
    expect(picker.view().upstreams[1]).toMatchObject({ state: 'closed' });
    await pass(20);
    // Nobody asks any more: neither do they.
    const { length } = asked;
    await pass(20);
    expect([asked.length, clock.pending]).toEqual([length, 0]);
    pickers.of(unit);
    pickers.close();
    await settle();
    expect(clock.pending).toBe(0);
  });
});
