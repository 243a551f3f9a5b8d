import { describe, expect, it } from 'vitest';
import type { UnitId } from '#kernel/ids';
import { unitId } from '#kernel/ids';
import type { State } from '#scheduler/state';
import { createState, createUnit } from '#scheduler/state';
import { defaultSettings } from '#scheduler/types';
import type { Phase, UnitSpec } from '#scheduler/types';
import { bySoonest, msUntilReady } from './choosing.ts';

const [a, b, c] = ['a', 'b', 'c'].map((name) => unitId('model', name)) as [UnitId, UnitId, UnitId];
const spec = (id: UnitId, declaredBytes: number): UnitSpec => ({
  ...{ id, tier: 'on-demand', priority: 50, declaredBytes, learnedAs: '', learnedBytes: null, slots: 1 },
  ...{ idleAfterMs: 1, idleRung: 'cold', startMs: null, prewarm: true, replicas: { min: 1, max: 1 } },
  rungs: { freezable: true, frozenBytes: null, freezeMs: null, thawMs: null, stopMs: null },
});

const GB = 10 ** 9;

function world(phases: Readonly<Record<string, Phase>>, sizes: Readonly<Record<string, number>> = {}): State['units'] {
  const { units } = createState(defaultSettings, 1);
  for (const [id, phase] of Object.entries(phases)) {
    const unit = createUnit(spec(id as UnitId, sizes[id] ?? GB), 1);
    unit.phase = phase;
    units.set(id as UnitId, unit);
  }
  return units;
}

const ready: Phase = { kind: 'ready', since: 0, until: 0, bytes: 1, idleSince: 0 };
const frozen: Phase = { kind: 'frozen', since: 0, bytes: 1 };
const cold: Phase = { kind: 'cold' };
const one = (unit: UnitId, more: object = {}) => ({ unit, pulled: true, bytes: GB, ...more });
const order = (units: State['units'], ...candidates: ReturnType<typeof one>[]) =>
  bySoonest(candidates, units, 1_000).map(({ unit }) => unit);

describe('which of several models answers', () => {
  it('is the first that is ready, a busy one after an idle one', () => {
    const units = world({ [a]: cold, [b]: ready, [c]: ready });
    expect(order(units, one(a), one(b), one(c))).toEqual([b, c, a]);
    units.get(b)?.leases.set('w' as never, 0);
    expect(order(units, one(a), one(b), one(c))).toEqual([c, b, a]);
  });

  it('is else the one that is soonest: thawed, under way, small, or here', () => {
    expect(order(world({ [a]: cold, [b]: frozen }), one(a), one(b))).toEqual([b, a]);
    expect(order(world({ [a]: cold, [b]: { kind: 'starting', since: 500, bytes: 1 } }), one(a), one(b))).toEqual([
      b,
      a,
    ]);
    expect(order(world({ [a]: cold, [b]: cold }, { [b]: GB / 10 }), one(a), one(b))).toEqual([b, a]);
    const twice = world({ [a]: cold, [b]: cold }, { [b]: 2 * GB });
    expect(order(twice, one(a, { pulled: false }), one(b))).toEqual([b, a]);
    const learned = world({ [a]: cold, [b]: cold });
    Object.assign(learned.get(b) ?? {}, { startMs: 100 });
    expect(order(learned, one(a), one(b))).toEqual([b, a]);
  });

  it('is one that a copy can answer for sooner than its first instance', () => {
    const units = world({ [a]: cold, [b]: cold });
    const first = units.get(b);
    if (!first) throw new Error('no b');
    const copy = createUnit(spec(b, GB), 2, first);
    first.copies = [copy];
    copy.phase = ready;
    expect(order(units, one(a), one(b))).toEqual([b, a]);
    copy.leases.set('w' as never, 0);
    Object.assign(units.get(a) ?? {}, { phase: ready });
    expect(order(units, one(b), one(a))).toEqual([a, b]);
  });

  it('is one that failed only when there is no other, and the named order where nothing else tells', () => {
    const units = world({ [a]: { kind: 'quarantined', until: 9 }, [b]: cold });
    expect(order(units, one(a), one(b, { pulled: false }))).toEqual([b, a]);
    expect(order(world({ [a]: cold, [b]: cold }), one(b), one(a))).toEqual([b, a]);
    expect(msUntilReady(one(c), units, 0)).toBeGreaterThan(10 ** 8);
  });
});
