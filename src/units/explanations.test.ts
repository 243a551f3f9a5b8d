import { describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import type { UnitId, WaiterId } from '#kernel/ids';
import { replicaId, unitId } from '#kernel/ids';
import { createState, unitOf } from '#scheduler/state';
import { step } from '#scheduler/step';
import { defaultSettings, oneReplica, plainRungs } from '#scheduler/types';
import type { Event, UnitSpec } from '#scheduler/types';
import { accountView, ledgerUnit, outlookView } from './explanations.ts';
import { unitView } from './views.ts';
import type { ViewSources } from './views.ts';

const [a, b, c] = [unitId('model', 'a'), unitId('model', 'b'), unitId('model', 'c')] as const;
const spec = (id: UnitId, declaredBytes: number, more: Partial<UnitSpec> = {}): UnitSpec => ({
  ...{ id, declaredBytes, tier: 'on-demand', priority: 50, learnedBytes: null, slots: 1, idleAfterMs: 60_000 },
  ...{
    idleRung: 'cold',
    startMs: null,
    rungs: plainRungs,
    learnedAs: '',
    prewarm: true,
    replicas: oneReplica,
    ...more,
  },
});

function account(limitBytes: number, ...units: readonly UnitSpec[]) {
  const clock = fakeClock();
  const state = createState(defaultSettings, limitBytes);
  const nothing = () => null;
  const sources: ViewSources = {
    ...{ state, clock, limitReason: () => 'asked for', url: nothing, preparing: nothing, preparationFailure: nothing },
    ...{ starting: nothing, record: nothing, failure: nothing },
    titles: () => ({ title: '', summary: '', category: null }),
  };
  const apply = (event: Event) => step(state, event, clock.now());
  apply({ kind: 'configure', units });
  const ask = (unit: UnitId) =>
    apply({
      kind: 'request',
      waiter: { id: `w-${unit}` as WaiterId, unit, class: 'default', principal: 'ada', deadline: Infinity },
    });
  /** Ready, idle, and past its residency. */
  const rest = (unit: UnitId) => {
    ask(unit);
    apply({ kind: 'started', unit });
    apply({ kind: 'release', waiter: `w-${unit}` as WaiterId, unit });
    clock.advance(6_000);
  };
  return { state, clock, sources, apply, ask, rest };
}

it('copies have lines of their own; those who wait are counted once, and what runs elsewhere is not asked of them', () => {
  const { state, sources, apply, clock } = account(25, spec(a, 10, { startMs: 100, replicas: { min: 1, max: 3 } }));
  const copy = replicaId(a, 2);
  const ask = (n: number) =>
    apply({
      kind: 'request',
      waiter: { id: `w${n}` as WaiterId, unit: a, class: 'default', principal: 'ada', deadline: Infinity },
    });
  const withUrl: ViewSources = { ...sources, url: (unit) => `http://x/${unit}` };
  const view = (unit: UnitId) => unitView(unitOf(state, unit), withUrl);
  ask(1);
  apply({ kind: 'started', unit: a });
  clock.advance(60_000);
  apply({ kind: 'release', waiter: 'w1' as WaiterId, unit: a });
  for (const n of [2, 3, 4]) ask(n);
  expect(view(copy)).toMatchObject({ copyOf: a, name: 'a~2', state: 'starting', waiters: 0, url: null });
  expect(view(a)).toMatchObject({ copyOf: null, state: 'ready', waiters: 2, url: 'http://x/model/a' });
  // Cold, and nobody waits for it by name.
  expect(view(replicaId(a, 3))).toMatchObject({ state: 'cold', waiters: 0, progress: null });
  const { units, lines } = accountView(sources);
  expect(units.map(({ id, waiters }) => [id, waiters])).toEqual([
    [a, 2],
    [copy, 0],
    [replicaId(a, 3), 0],
  ]);
  expect(lines.map(({ id }) => id)).toEqual([a, copy]);
});

describe('the account', () => {
  it('has the sums and, of every unit, what a decision about it rests on', () => {
    const { sources, ask, rest, apply } = account(25, spec(a, 10, { startMs: 900 }), spec(b, 10), spec(c, 10));
    rest(a);
    apply({ kind: 'measured', unit: a, bytes: 12 });
    rest(b);
    const { units, lines, ...sums } = accountView(sources);
    expect(sums).toMatchObject({
      ...{ limitBytes: 25, reservedBytes: 20, chargedBytes: 22, incomingBytes: 0, freeBytes: 3, pressure: 'none' },
      horizonMs: 30_000,
      prediction: { on: true, hits: 0, misses: 0, byteSeconds: 0, expected: [] },
    });
    expect(lines.map(({ id }) => id)).toEqual([a, b]);
    expect(units.map(({ id, evictable, place }) => [id, evictable, place])).toEqual([
      [a, true, null],
      [b, true, null],
      [c, false, null],
    ]);
    const [first] = units;
    expect(first).toMatchObject({
      ...{ state: 'ready', reason: { code: 'asked', by: 'ada' }, startMs: expect.any(Number) as number },
      bytes: { declared: 10, learned: 12, measured: 12, reserved: 10, charged: 12, frozen: null, next: 12 },
    });
    expect(first?.options).toEqual([{ unit: a, act: 'stop', bytes: 12, costMs: expect.any(Number) as number }]);
    expect(first?.againInMs).toBeGreaterThan(0);
    expect(first?.requestsPerHour).toBeGreaterThan(0);
    ask(c);
    expect(accountView(sources)).toMatchObject({ incomingBytes: expect.any(Number) as number });
    expect(accountView(sources).units.find(({ id }) => id === c)).toMatchObject({ place: 1, waiters: 1, options: [] });
  });

  it('is JSON: nothing in it is lost on the way', () => {
    const { sources, rest } = account(25, spec(a, 10, { tier: 'core', idleAfterMs: Infinity }), spec(b, 10));
    rest(b);
    const said = accountView(sources);
    expect(JSON.parse(JSON.stringify(said))).toEqual(said);
  });
});

it('an evicted unit says what was compared, and what would have to stop for it to come back', () => {
  const { state, sources, apply, ask, rest, clock } = account(
    20,
    spec(a, 10, { startMs: 1 }),
    spec(b, 10),
    spec(c, 10),
  );
  rest(a);
  rest(b);
  ask(c);
  apply({ kind: 'stopped', unit: a });
  apply({ kind: 'started', unit: c });
  const { reason } = ledgerUnit(unitOf(state, a), sources);
  expect(reason).toMatchObject({ code: 'evicted', for: c, bytes: 10 });
  expect(reason.sums?.map(({ unit, chosen }) => [unit, chosen])).toEqual([
    [a, true],
    [b, false],
  ]);
  clock.advance(6_000);
  expect(outlookView(unitOf(state, a), sources)).toMatchObject({ fits: 'after-evictions', wouldStop: [{ unit: b }] });
});
