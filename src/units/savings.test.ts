import { describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { replicaId, unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { createState } from '#scheduler/state';
import { step } from '#scheduler/step';
import { defaultSettings, oneReplica, plainRungs } from '#scheduler/types';
import type { Event, UnitSpec } from '#scheduler/types';
import { createSavingsMeter, openSavings } from './savings.ts';
import type { SavedSavings } from './savings.ts';

const [a, b] = [unitId('service', 'a'), unitId('service', 'b')] as const;

it('a copy beyond the least number spares nothing, since nobody would keep it always awake', () => {
  const state = createState(defaultSettings, 100);
  const spec: UnitSpec = {
    ...{ id: a, tier: 'on-demand', priority: 50, declaredBytes: 10, learnedAs: '', learnedBytes: null, slots: 1 },
    ...{
      idleAfterMs: 1_000,
      idleRung: 'cold',
      startMs: null,
      rungs: plainRungs,
      prewarm: true,
      replicas: { min: 2, max: 3 },
    },
  };
  step(state, { kind: 'configure', units: [spec] }, 0);
  const copies = [replicaId(a, 2), replicaId(a, 3)];
  const table = { get: () => null, put: () => undefined, delete: () => undefined, list: () => [] };
  const savings = openSavings({ state: () => state, clock: fakeClock(), table });
  for (const unit of [a, ...copies]) {
    const effect = { kind: 'start', unit, bytes: 10 } as const;
    const one = state.units.get(unit);
    if (one) one.phase = { kind: 'starting', since: 0, bytes: 10 };
    savings.effect(effect);
  }
  savings.settled();
  expect(savings.report()).toMatchObject({ alwaysOnBytes: 30, heldBytes: 30 });
  for (const one of state.units.values()) one.phase = { kind: 'cold' };
  for (const unit of [a, ...copies]) savings.effect({ kind: 'stop', unit, reason: { code: 'idle', ms: 1 } });
  savings.settled();
  expect(savings.report()).toMatchObject({ alwaysOnBytes: 20, heldBytes: 0 });
});

describe('the meter', () => {
  it('counts from the first start, by what changed when', () => {
    const meter = createSavingsMeter(null, 0, 5_000);
    meter.set(a, 100, 0, 0, 5_000);
    meter.set(a, 100, 100, 10_000, 15_000);
    meter.set(a, 100, 0, 30_000, 35_000);
    const report = meter.report(50_000);
    // 20 s awake, 20 s asleep; the 10 s before its first start are nobody's.
    expect(report).toMatchObject({ sparedByteSeconds: 2_000, uptimeMs: 50_000, alwaysOnBytes: 100, heldBytes: 0 });
    expect(report.averageHeldBytes).toBe(40);
    expect(report.averageAlwaysOnBytes).toBe(80);
    expect(report).toMatchObject({ since: '1970-01-01T00:00:05.000Z', units: [{ since: '1970-01-01T00:00:15.000Z' }] });
  });

  it('says the same however often it is asked, and goes on after a restart', () => {
    const whole = createSavingsMeter(null, 0, 0);
    const cut = createSavingsMeter(null, 0, 0);
    for (const meter of [whole, cut]) meter.set(a, 70, 30, 1_000, 1_000);
    cut.report(2_000);
    cut.woke(a, 'start', 400);
    whole.woke(a, 'start', 400);
    cut.report(2_500);
    const next = createSavingsMeter(JSON.parse(JSON.stringify(cut.saved(3_000))) as SavedSavings, 77_000, 99_000);
    next.set(a, 70, 30, 77_000, 99_000);
    expect(next.report(80_000)).toEqual(whole.report(6_000));
  });

  it('loses what holds more than it would reserve, and keeps what is gone', () => {
    const meter = createSavingsMeter(null, 0, 0);
    meter.set(a, 10, 30, 0, 0);
    meter.set(a, 0, 0, 1_000, 1_000);
    meter.set(b, 10, 5, 1_000, 1_000);
    const { sparedByteSeconds, units } = meter.report(2_000);
    expect(sparedByteSeconds).toBe(-15);
    expect(units.map(({ id, sparedByteSeconds: spared }) => [id, spared])).toEqual([
      [b, 5],
      [a, -20],
    ]);
  });

  it('of no time at all is nothing', () => {
    expect(createSavingsMeter(null, 3, 3).report(3)).toMatchObject({ averageHeldBytes: 0, sparedByteSeconds: 0 });
  });
});

function bench(rows = new Map<string, SavedSavings>()) {
  const clock = fakeClock();
  const state = createState(defaultSettings, 100);
  let puts = 0;
  const table = {
    get: (key: string) => rows.get(key) ?? null,
    put: (key: string, value: SavedSavings) => void (puts++, rows.set(key, value)),
    delete: () => undefined,
    list: () => [],
  };
  const savings = openSavings({ state: () => state, clock, table });
  const apply = (event: Event) => {
    savings.event(event);
    for (const effect of step(state, event, clock.now())) savings.effect(effect);
    savings.settled();
  };
  return { clock, savings, apply, rows, puts: () => puts };
}

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

describe('the savings of a scheduler', () => {
  it('follow what units hold, and what their starts and thaws took', () => {
    const { clock, savings, apply } = bench();
    apply({ kind: 'configure', units: [spec(a, 10, { idleRung: 'frozen' }), spec(b, 50)] });
    apply({ kind: 'wake', unit: a });
    clock.advance(2_000); // starting: 10 held
    apply({ kind: 'started', unit: a });
    apply({ kind: 'measured', unit: a, bytes: 16 });
    clock.advance(60_000); // ready: 16 held of 16
    apply({ kind: 'tick' });
    apply({ kind: 'frozen', unit: a });
    apply({ kind: 'measured', unit: a, bytes: 6 });
    clock.advance(100_000); // frozen: 6 held of 16
    apply({ kind: 'wake', unit: a });
    clock.advance(50);
    apply({ kind: 'thawed', unit: a });
    const report = savings.report();
    expect(report).toMatchObject({ starts: 1, startMs: 2_000, thaws: 1, thawMs: 50, heldBytes: 16, alwaysOnBytes: 16 });
    expect(report.sparedByteSeconds).toBe(1_000);
    expect(report.units.map(({ id }) => id)).toEqual([a]);
  });

  it('are kept over a restart, where units begin to count at once; one that is gone counts no more', () => {
    const first = bench();
    first.apply({ kind: 'configure', units: [spec(a, 10), spec(b, 20)] });
    for (const unit of [a, b]) first.apply({ kind: 'wake', unit });
    for (const unit of [a, b]) first.apply({ kind: 'stop', unit, reason: { code: 'stopped-by-user' }, force: true });
    for (const unit of [a, b]) first.apply({ kind: 'stopped', unit });
    first.clock.advance(1_000);
    expect(first.puts()).toBe(0);
    first.savings.save();
    const second = bench(first.rows);
    second.apply({ kind: 'configure', units: [spec(a, 10)] });
    second.clock.advance(1_000);
    expect(second.savings.report()).toMatchObject({ uptimeMs: 2_000, sparedByteSeconds: 40, alwaysOnBytes: 10 });
    second.apply({ kind: 'configure', units: [] });
    second.clock.advance(1_000);
    expect(second.savings.report()).toMatchObject({ uptimeMs: 3_000, sparedByteSeconds: 40, alwaysOnBytes: 0 });
  });
});
