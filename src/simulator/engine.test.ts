import { describe, expect, it } from 'vitest';
import { replicaId } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import type { Effect, Event } from '#scheduler/types';
import { simulate } from './engine.ts';
import { ask, fleet, scripted } from './machines.fake.ts';

const [a, b] = ['model/a' as UnitId, 'model/b' as UnitId];
const reason = { code: 'evicted', for: b, bytes: 10, costMs: 0, sums: [] } as const;
const start = (unit: UnitId): Effect => ({ kind: 'start', unit, bytes: 10 });
const stop = (unit: UnitId): Effect => ({ kind: 'stop', unit, reason });
const freeze = (unit: UnitId): Effect => ({ kind: 'freeze', unit });
const thaw = (unit: UnitId): Effect => ({ kind: 'thaw', unit });
const grant = (n: number, unit: UnitId): Effect => ({ kind: 'grant', waiter: `w${n}` as WaiterId, unit });
const refuse = (n: number, unit: UnitId): Effect => ({
  ...{ kind: 'refuse', waiter: `w${n}` as WaiterId, unit },
  refusal: { code: 'TIMEOUT', message: '' },
});

/** Two units of 10 bytes under a limit of 15; `a` keeps 2 when frozen. */
const two = fleet(15, [{ id: 'a', frozenBytes: 2, concurrency: 1 }, { id: 'b' }]);
/** Answers an event, told as `started model/a` or `request w0`, with those effects. */
const byEvent = (answers: Readonly<Record<string, readonly Effect[]>>, told: string[] = []) =>
  scripted((event, now) => {
    const name = nameOf(event);
    told.push(`${now} ${name}`);
    return answers[name] ?? [];
  });
const nameOf = (event: Event): string => {
  if (event.kind === 'request') return `request ${event.waiter.id}`;
  if (event.kind === 'release') return `release ${event.waiter}`;
  return 'unit' in event && typeof event.unit === 'string' ? `${event.kind} ${event.unit}` : event.kind;
};

describe('the engine', () => {
  it('carries out what it is told, and says when it is done', () => {
    const told: string[] = [];
    const policy = byEvent(
      {
        'request w0': [start(a)],
        'started model/a': [grant(0, a)],
        'release w0': [freeze(a)],
        'measured model/a': [start(b)],
        'request w1': [stop(b)],
        'stopped model/b': [thaw(a)],
        'thawed model/a': [grant(1, a)],
      },
      told,
    );
    const outcome = simulate(two, [ask(10, 'a'), ask(5_000, 'a', { serviceMs: 7 })], policy);
    expect(told).toEqual([
      ...['0 configure', '10 request w0', '1010 started model/a', '1110 release w0', '1130 frozen model/a'],
      ...['1130 measured model/a', '2130 started model/b', '5000 request w1', '5200 stopped model/b'],
      ...['5250 thawed model/a', '5257 release w1'],
    ]);
    expect(outcome).toMatchObject({ coldStarts: 2, thaws: 1, evictions: 2, maxReservedBytes: 12, endMs: 5_257 });
    expect([...outcome.waits]).toEqual([1_000, 250]);
    // a whole from its start to the end of its freeze, then 2 bytes; b from its start until it was stopped; a whole again.
    const byteMs = 10 * (1_130 - 10) + 2 * (5_200 - 1_130) + 10 * (5_200 - 1_130) + 10 * 57;
    expect(outcome.byteSeconds).toBeCloseTo(byteMs / 1_000, 9);
    expect(outcome.events).toBe(told.length);
  });

  it('ends what ends before what arrives at the same time, and ticks last', () => {
    const told: string[] = [];
    const policy = byEvent({ 'request w0': [start(a)], 'started model/a': [grant(0, a)], tick: [refuse(1, a)] }, told);
    const ringing = { ...policy, nextWake: (now: number) => (now === 1_000 ? 1_000 : Infinity) };
    simulate(two, [ask(0, 'a', { serviceMs: 0 }), ask(1_000, 'a')], ringing);
    expect(told.slice(2)).toEqual(['1000 started model/a', '1000 release w0', '1000 request w1', '1000 tick']);
  });

  it('forgets the end of a start, a freeze and a thaw that a stop took the place of', () => {
    // The second request keeps the run going for longer than what was given up would have taken.
    const later = { 'stopped model/a': [refuse(0, a)], 'request w1': [refuse(1, a)] };
    const toldBy = (answers: Readonly<Record<string, readonly Effect[]>>) => {
      const told: string[] = [];
      const { waits } = simulate(two, [ask(0, 'a'), ask(9_000, 'a')], byEvent({ ...answers, ...later }, told));
      expect([...waits]).toEqual([NaN, NaN]);
      return told.slice(2);
    };
    expect(toldBy({ 'request w0': [start(a), stop(a)] })).toEqual(['200 stopped model/a', '9000 request w1']);
    expect(toldBy({ 'request w0': [start(a)], 'started model/a': [freeze(a), stop(a)] })).toEqual([
      ...['1000 started model/a', '1200 stopped model/a', '9000 request w1'],
    ]);
    const rethought = { 'started model/a': [freeze(a)], 'frozen model/a': [thaw(a), stop(a)] };
    expect(toldBy({ 'request w0': [start(a)], ...rethought })).toEqual([
      ...['1000 started model/a', '1020 frozen model/a', '1220 stopped model/a', '9000 request w1'],
    ]);
  });

  it('hands over class, principal and the time of the deadline', () => {
    const seen: unknown[] = [];
    const policy = scripted((event) => {
      if (event.kind !== 'request') return [];
      seen.push(event.waiter);
      return [{ ...refuse(0, event.waiter.unit), waiter: event.waiter.id } as Effect];
    });
    simulate(two, [ask(3, 'a', { class: 'batch', principal: 'bob', deadlineMs: 40 }), ask(4, 'b')], policy);
    expect(seen).toEqual([
      { id: 'w0', unit: a, class: 'batch', principal: 'bob', deadline: 43 },
      { id: 'w1', unit: b, class: 'default', principal: 'ada', deadline: Infinity },
    ]);
  });
});

describe('copies of a unit', () => {
  const two = replicaId(a, 2);
  const pair = fleet(25, [{ id: 'a', concurrency: 1, maxReplicas: 2 }, { id: 'b' }]);
  const start2: Effect = { kind: 'start', unit: two, bytes: 10 };

  it('serve those who asked for the unit, and hold memory of their own', () => {
    const told: string[] = [];
    const policy = byEvent(
      {
        'request w0': [start(a), start2],
        'started model/a': [grant(0, a)],
        'started model/a~2': [grant(1, two)],
      },
      told,
    );
    const outcome = simulate(pair, [ask(0, 'a'), ask(0, 'a', { serviceMs: 50 })], policy);
    expect(told.slice(-2)).toEqual(['1050 release w1', '1100 release w0']);
    expect(outcome).toMatchObject({ coldStarts: 2, maxReservedBytes: 20 });
    expect([...outcome.waits]).toEqual([1_000, 1_000]);
    expect(outcome.byteSeconds).toBeCloseTo((20 * 1_100) / 1_000, 9);
  });

  const served = { 'request w0': [start2], 'started model/a~2': [grant(0, two)] } as const;
  it.each<[string, Readonly<Record<string, readonly Effect[]>>, string]>([
    [
      'more copies than there may be',
      { 'request w0': [{ ...start2, unit: replicaId(a, 3) }] },
      'of an unknown unit: model/a~3',
    ],
    [
      'a copy of what has none',
      { 'request w0': [{ ...start2, unit: replicaId(b, 2) }] },
      'of an unknown unit: model/b~2',
    ],
    [
      'a copy that is the unit',
      { 'request w0': [{ ...start2, unit: replicaId(a, 1) }] },
      'of an unknown unit: model/a~1',
    ],
    ['their bytes', { 'request w0': [start(a), start2, start(b)] }, 'more than the limit, 30 bytes reserved of 25'],
    ['their slots', { ...served, 'request w1': [grant(1, two)] }, 'more leases than slots: model/a~2'],
    ['that they are busy', { ...served, 'request w1': [stop(two)] }, 'stopped while it is busy: model/a~2'],
    [
      'a grant before they are ready',
      { 'request w0': [start2, grant(0, two)] },
      'granted while it is starting: model/a~2',
    ],
    [
      'a grant of theirs to who asked for another unit',
      { ...served, 'request w2': [grant(2, two)] },
      'does not wait for it',
    ],
  ])('are judged as the unit is: %s', (_, answers, message) => {
    const asks = [ask(0, 'a', { serviceMs: 5_000 }), ask(2_000, 'a'), ask(7_000, 'b')];
    expect(() => simulate(pair, asks, byEvent({ 'request w1': [refuse(1, a)], ...answers }))).toThrow(message);
  });
});

describe('the judge', () => {
  const first = { 'request w0': [start(a)], 'started model/a': [grant(0, a)] } as const;
  it.each<[string, Readonly<Record<string, readonly Effect[]>>, string]>([
    ['more than the limit', { 'request w0': [start(a), start(b)] }, 'more than the limit, 20 bytes reserved of 15'],
    [
      'the memory of what is still stopping',
      { 'request w0': [start(a)], 'started model/a': [stop(a), start(b)] },
      'more than the limit, 20 bytes',
    ],
    [
      'the memory of what is still being frozen',
      { 'request w0': [start(a)], 'started model/a': [freeze(a), start(b)] },
      'more than the limit, 20 bytes',
    ],
    [
      'the memory of what is thawed again',
      { 'request w0': [start(a)], 'started model/a': [freeze(a)], 'frozen model/a': [start(b), thaw(a)] },
      'more than the limit, 20 bytes',
    ],
    ['a start of what starts', { 'request w0': [start(a), start(a)] }, 'started while it is starting: model/a at 0 ms'],
    ['a start of what is ready', { ...first, 'release w0': [start(a)] }, 'started while it is ready: model/a at 1100'],
    ['a stop of what is busy', { ...first, 'request w1': [stop(a)] }, 'stopped while it is busy: model/a at 1050 ms'],
    ['a freeze of what is busy', { ...first, 'request w1': [freeze(a)] }, 'frozen while it is busy: model/a'],
    ['a stop of what is cold', { 'request w0': [stop(a)] }, 'stopped while it is cold'],
    ['a second stop', { 'request w0': [start(a), stop(a), stop(a)] }, 'stopped while it is stopping'],
    ['a freeze of what starts', { 'request w0': [start(a), freeze(a)] }, 'frozen while it is starting'],
    ['a thaw of what is not frozen', { ...first, 'request w1': [thaw(a)] }, 'thawed while it is ready'],
    ['a grant before it is ready', { 'request w0': [start(a), grant(0, a)] }, 'granted while it is starting'],
    ['more leases than slots', { ...first, 'request w1': [grant(1, a)] }, 'more leases than slots: model/a at 1050 ms'],
    [
      'a second grant',
      { ...first, 'release w0': [grant(0, a)] },
      'granted to one who does not wait for it: model/a at 1100 ms',
    ],
    [
      'a grant of another unit than was asked for',
      { 'request w0': [start(b)], 'started model/b': [grant(0, b)] },
      'granted to one who does not wait for it: model/b',
    ],
    [
      'a refusal of one who was granted',
      { ...first, 'release w0': [refuse(0, a)] },
      'refused to one who does not wait',
    ],
    ['an unknown unit', { 'request w0': [start('model/x' as UnitId)] }, 'start of an unknown unit: model/x'],
    ['a request without an answer', first, 'w1 is never answered: model/a at 1100 ms'],
  ])('catches %s', (_, answers, message) => {
    const arrivals = [ask(0, 'a'), ask(1_050, 'a')];
    expect(() => simulate(two, arrivals, byEvent(answers))).toThrow(message);
    expect(() => simulate(two, arrivals, byEvent(answers))).toThrow(expect.objectContaining({ name: 'BrokenPromise' }));
  });

  it('catches a policy that rings for ever and never answers', () => {
    const busybody = scripted(
      () => [],
      (now) => now,
    );
    expect(() => simulate(two, [ask(0, 'a')], busybody)).toThrow('w0 is never answered');
    const patient = scripted(
      () => [],
      (now) => now + 1_000,
    );
    expect(() => simulate(two, [ask(0, 'a')], patient)).toThrow('w0 is never answered');
  });

  it('catches a policy that rings at one time for ever, also while something is served or still to come', () => {
    const hasty = {
      ...byEvent(first),
      nextWake: (now: number) => (now === 1_040 ? now : now < 1_040 ? 1_040 : Infinity),
    };
    const arrivals = [ask(0, 'a'), ask(1_050, 'a')];
    expect(() => simulate(two, arrivals, hasty)).toThrow('one tick after the other at 1040 ms, and does nothing');
  });

  it('lets a policy tick every second through a quiet hour and a long answer', () => {
    const answers = { ...first, 'request w1': [grant(1, a)] };
    const steady = { ...byEvent(answers), nextWake: (now: number) => now + 1_000 };
    const hour = 3_600_000;
    const { waits, endMs, events } = simulate(two, [ask(0, 'a'), ask(hour, 'a', { serviceMs: hour })], steady);
    expect([[...waits], endMs]).toEqual([[1_000, 0], 2 * hour]);
    expect(events).toBeGreaterThan(7_000);
  });

  it('counts as evictions what made room, and not what was idle', () => {
    const idle: Effect = { kind: 'stop', unit: a, reason: { code: 'idle', ms: 1 } };
    const evictions = (effect: Effect) =>
      simulate(
        two,
        [ask(0, 'a')],
        byEvent({ ...first, 'started model/a': [effect], 'stopped model/a': [refuse(0, a)] }),
      ).evictions;
    expect([evictions(stop(a)), evictions(idle)]).toEqual([1, 0]);
  });

  it('says so when the trace asks for what is not there', () => {
    expect(() => simulate(two, [ask(0, 'x')], byEvent({}))).toThrow('asks for x, which is not among the units');
  });

  it('lets a limit be filled to the byte', () => {
    const policy = byEvent({ ...first, 'request w1': [refuse(1, a)] });
    const tight = { ...two, limitBytes: 10 };
    expect(simulate(tight, [ask(0, 'a'), ask(1_050, 'a')], policy).maxReservedBytes).toBe(10);
    expect(() => simulate({ ...two, limitBytes: 9 }, [ask(0, 'a')], byEvent(first))).toThrow('10 bytes reserved of 9');
  });
});
