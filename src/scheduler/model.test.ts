import { randomInt } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { originalOf, unitId } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import { patienceMs } from './patience.ts';
import { createState } from './state.ts';
import { step } from './step.ts';
import { oneReplica } from './types.ts';
import type { Effect, Event, PressureLevel, Settings, Tier, UnitSpec, WaiterClass } from './types.ts';
import { check } from './machine.fake.ts';
import { fakeWorld } from './world.fake.ts';
import type { World } from './world.fake.ts';

const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => unitId('model', name));
const settings: Settings = {
  minResidencyMs: 500,
  horizonMs: 2_000,
  maxWaiters: 6,
  ageingMs: 3_000,
  backoffFirstMs: 100,
  backoffMaxMs: 1_000,
  maxFailures: 3,
  quarantineMs: 5_000,
  prediction: true,
};

/**
 * More of them by hand: `RUNS=100000 npx vitest run --project unit src/scheduler/model.test.ts`. A failed one once more: with its
 * message's `seed` as SEED and `path` as REPLAY.
 */
const { RUNS, SEED, REPLAY } = process.env;
const runs = Number(RUNS ?? 20_000);
const seed = SEED === undefined ? randomInt(2 ** 31) : Number(SEED);

/** One number is one event: four fields of a few bits, so that long sequences are cheap to make and to shrink. */
interface Dice {
  readonly kind: number;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}
const roll = (word: number): Dice => ({
  kind: word & 63,
  a: (word >>> 6) & 255,
  b: (word >>> 14) & 255,
  c: (word >>> 22) & 1023,
});

const pick = <T>(list: readonly T[], n: number): T | undefined => list[n % Math.max(1, list.length)];
const tiers: readonly Tier[] = ['on-demand', 'on-demand', 'on-demand', 'persistent', 'persistent', 'core'];
const levels: readonly PressureLevel[] = ['none', 'caches', 'idle', 'admission'];
const principals = ['ada', 'ada', 'ada', 'bob', 'cyd'];
const hourMs = 3_600_000;
const replicas: readonly UnitSpec['replicas'][] = [oneReplica, oneReplica, { min: 1, max: 3 }, { min: 2, max: 2 }];
const classes: readonly WaiterClass[] = ['interactive', 'default', 'batch'];

function specOf(id: UnitId, { a, b, c }: Dice): UnitSpec {
  return {
    id,
    tier: pick(tiers, a) ?? 'core',
    priority: (b & 3) * 25,
    declaredBytes: c & 15,
    learnedAs: (a & 64) === 0 ? 'small' : 'large',
    learnedBytes: null,
    slots: 1 + (c >> 8),
    idleAfterMs: [200, 1_500, 6_000, 60_000][(c >> 4) & 3] ?? 0,
    idleRung: (a & 128) !== 0 ? 'auto' : (c >> 6) & 1 ? 'frozen' : 'cold',
    startMs: [null, 100, 1_000, 5_000][(b >> 4) & 3] ?? null,
    rungs: {
      freezable: ((c >> 7) & 1) === 1,
      frozenBytes: [null, 1, 5, 20][(b >> 2) & 3] ?? null,
      freezeMs: 20,
      thawMs: [null, 10, 200, 2_000][(b >> 6) & 3] ?? null,
      stopMs: 100,
    },
    prewarm: (b & 12) !== 12,
    replicas: pick(replicas, a >> 3) ?? oneReplica,
    vram: (b & 1) === 1 ? { device: (a & 32) === 0 ? 'gpu0' : 'gpu1', bytes: (c >> 3) & 15 } : undefined,
    threads: pick([0, 1, 2, 3, 6], (a >> 2) + c) ?? 0,
  };
}

const asOutstanding: Readonly<Record<string, Event['kind'] | undefined>> = {
  starting: 'started',
  stopping: 'stopped',
  freezing: 'frozen',
  thawing: 'thawed',
};

/** The end of what the machine is doing with a unit, as the runtime would report it. */
function endOf(unit: UnitId, stage: string): Event | undefined {
  const kind = asOutstanding[stage];
  return kind === undefined ? undefined : ({ kind, unit } as Event);
}

function play(world: World, dice: Dice): void {
  const { kind, a, b, c } = dice;
  const there = a < 250 ? [...world.state.units.keys()] : names;
  // Copies are named by what happens to them; people ask for the unit.
  const one = pick(there, a) ?? unitId('model', 'a');
  const unit = originalOf(one);
  const known = world.state.units.has(unit);
  const busy = [...world.instances].filter(([, { stage }]) => asOutstanding[stage] !== undefined);
  if (kind < 16) {
    const deadline = b < 40 ? world.now + b * 50 : Infinity;
    const principal = pick(principals, c) ?? 'ada';
    world.request(unit, { class: pick(classes, b) ?? 'batch', deadline, principal });
  } else if (kind < 20) leave(world, a, b);
  else if (kind < 22) connect(world, b, (c & 3) === 0);
  else if (kind < 28) release(world, b, (c & 7) === 0);
  else if (kind < 40) {
    const [id, { stage }] = pick(busy, b) ?? [unit, { stage: 'ready' }];
    const event = endOf(id, stage);
    if (event) world.apply(event);
  } else if (kind < 42) {
    // Late, repeated, or never meant: the scheduler must take it for what it is.
    const late = (['started', 'stopped', 'frozen', 'thawed'] as const)[b & 3] ?? 'started';
    world.apply({ kind: late, unit: one });
  } else if (kind < 44) {
    const [id] = pick(busy, b) ?? [one];
    world.apply({ kind: 'failed', unit: id, message: 'no luck', permanent: (c & 15) === 0 });
  } else if (kind < 45 && (b & 1) === 0) world.apply({ kind: 'exited', unit: one, message: 'gone' });
  else if (kind < 45 && (b & 2) === 0) world.apply({ kind: 'pressure', level: pick(levels, c) ?? 'none' });
  else if (kind < 45 && (c & 3) === 0) {
    world.apply({ kind: 'settings', settings: { ...settings, ageingMs: c & 4 ? 1_000 : 3_000, prediction: c > 100 } });
  } else if (kind < 45) world.apply({ kind: 'clock', localMs: world.now + a * hourMs });
  else if (kind < 53) {
    if (b & 1) world.advance(c * (b & 2 ? 10 : 1));
    else world.elapse(c * (b & 2 ? 4 : 0.37));
  } else if (kind < 54) world.apply({ kind: 'measured', unit: one, bytes: c & 31 });
  else if (kind < 55) world.apply({ kind: 'limit', bytes: 6 + (c & 31) });
  else if (kind < 56) world.apply({ kind: 'describe', unit: specOf(unit, dice) });
  else if (kind < 57) configure(world, dice);
  else if (kind < 58) recover(world, one, dice);
  else if (kind < 59 && known) world.apply({ kind: 'pin', unit, pinned: (b & 1) === 1 });
  else if (kind < 61 && known) world.apply({ kind: 'wake', unit });
  else if (kind < 63 && known) {
    const named = (c & 1) === 0 ? unit : one;
    if (!world.state.units.has(named)) return;
    world.apply({ kind: 'stop', unit: named, reason: { code: 'stopped-by-user' }, force: (b & 7) === 0 });
  } else if (kind === 63 && a < 4) world.apply({ kind: 'shutdown' });
  else if (kind === 63 && a < 60) world.apply(cards(b & 31, c & 31));
  else if (kind === 63 && a < 120) world.apply({ kind: 'cores', cores: pick(cores, b) ?? 1 });
  else if (kind === 63) world.apply({ kind: 'measured-vram', unit: one, bytes: c & 15 });
}

/** One of them may be gone. */
const cards = (first: number, second: number): Event => ({
  kind: 'devices',
  devices: [{ id: 'gpu0', limitBytes: first }, ...((second & 7) === 0 ? [] : [{ id: 'gpu1', limitBytes: second }])],
});
const cores = [Infinity, 1, 2, 4, 8];

let left = 0;
/** At its work as far as it has slots, or with connections open; or neither. */
function recover(world: World, unit: UnitId, { b, c }: Dice): void {
  const { slots = 1 } = world.state.units.get(unit)?.spec ?? {};
  const ids = (count: number) => Array.from({ length: count }, () => `left${++left}` as unknown as WaiterId);
  const frozen = (b & 1) === 1;
  const leases = frozen ? [] : ids(Math.min(slots, (b >> 1) & 3));
  const open = [...leases.slice(0, c & 1), ...ids((c >> 1) & 1)];
  world.apply({ kind: 'recovered', unit, frozen, leases, open });
}

function leave(world: World, a: number, b: number): void {
  const waiter = pick(b < 230 ? world.waiting() : [...world.callers.keys()], a);
  const unit = waiter && world.callers.get(waiter)?.unit;
  if (unit) world.apply({ kind: 'leave', waiter, unit, keep: (b & 3) === 0 });
}

function release(world: World, b: number, twice: boolean): void {
  const held: [WaiterId, UnitId][] = [...world.instances.keys()].flatMap((unit) =>
    world.leasesOf(unit).map((waiter): [WaiterId, UnitId] => [waiter, unit]),
  );
  const [waiter, unit] = pick(held, b) ?? [];
  if (!waiter || !unit) return;
  world.apply({ kind: 'release', waiter, unit });
  if (twice) world.apply({ kind: 'release', waiter, unit });
}

/** What a lease began stays open when the lease is given back; or it closes, whatever its unit does. */
function connect(world: World, b: number, closes: boolean): void {
  const { leasesOf, openOf, instances } = world;
  const list = [...instances.keys()].flatMap((unit) => (closes ? openOf : leasesOf)(unit).map((id) => [id, unit]));
  const [waiter, unit] = (pick(list, b) ?? []) as [WaiterId?, UnitId?];
  if (waiter && unit) world.apply({ kind: closes ? 'closed' : 'opened', waiter, unit });
}

function configure(world: World, { a, b, c }: Dice): void {
  const units = names.flatMap((id, i) => {
    const spec = world.state.units.get(id)?.spec ?? specOf(id, { kind: 0, a: a + i, b, c: (c * (i + 3)) & 1023 });
    return (b >> i) & 1 || (c >> i) & 1 || i < 2 ? [spec] : [];
  });
  world.apply({ kind: 'configure', units });
}

/** All that is under way succeeds, every lease ends one round after it was given, and what is open closes. */
function settleRound(world: World, held: readonly WaiterId[]): void {
  for (const [unit, { stage }] of [...world.instances]) {
    const event = endOf(unit, stage);
    if (event) world.apply(event);
  }
  for (const unit of world.instances.keys()) {
    for (const waiter of world.openOf(unit)) world.apply({ kind: 'closed', waiter, unit });
  }
  for (const waiter of held) {
    const unit = world.callers.get(waiter)?.by;
    if (unit) world.apply({ kind: 'release', waiter, unit });
  }
}

const leased = (world: World): WaiterId[] => [...world.instances.keys()].flatMap((unit) => world.leasesOf(unit));

/** Nobody waits for ever, not even when some units are asked for again and again and are never idle. */
function drain(world: World, streams: readonly UnitId[]): void {
  world.apply({ kind: 'pressure', level: 'none' });
  const waiters = world.waiting();
  const isOpen = (waiter: WaiterId) => world.callers.get(waiter)?.state === 'waiting';
  let patience = 0;
  for (let round = 0; waiters.some(isOpen); round++) {
    patience = Math.max(patience, patienceMs(world.state) / 1_000);
    // Who waits behind others of the same principal counts from when the last of those was served.
    const bound = patience * waiters.length + 8 * names.length + waiters.length * 2;
    check(round < bound, () => `after ${round} rounds there still wait ${waiters.filter(isOpen).join()}`);
    const held = leased(world);
    for (const unit of streams) world.request(unit, { class: 'interactive' });
    settleRound(world, held);
    world.advance(1_000);
  }
}

const scenario = fc.record({
  limit: fc.integer({ min: 8, max: 40 }),
  units: fc.array(fc.nat(0xffffffff), { minLength: 2, maxLength: names.length, size: 'max' }),
  events: fc.array(fc.nat(0xffffffff), { maxLength: 200, size: 'max' }),
  streams: fc.subarray(names, { maxLength: 3 }),
  machine: fc.record({ first: fc.nat(31), second: fc.nat(31), cores: fc.constantFrom(...cores) }),
});
type Scenario = typeof scenario extends fc.Arbitrary<infer T> ? T : never;

function run({ limit, units, events, streams, machine }: Scenario): World {
  const specs = units.flatMap((word, i) => {
    const id = names[i];
    return id ? [specOf(id, roll(word))] : [];
  });
  const world = fakeWorld(specs, limit, settings);
  world.apply(cards(machine.first, machine.second));
  world.apply({ kind: 'cores', cores: machine.cores });
  for (const word of events) play(world, roll(word));
  drain(world, streams);
  return world;
}

it(
  'keeps every promise over random histories, and does the same again when they are replayed',
  () => {
    const seen = new Map<string, number>();
    const note = (key: string) => seen.set(key, (seen.get(key) ?? 0) + 1);
    fc.assert(
      fc.property(scenario, (given) => {
        const world = run(given);
        const again = createState(settings, given.limit);
        for (const { event, now, effects } of world.history) {
          const repeated: Effect[] = step(again, event, now);
          check(JSON.stringify(repeated) === effects, () => `${JSON.stringify(event)} at ${now} had another outcome`);
          if (again.cores.waiting.size > 0) note('waits for cores');
          for (const effect of repeated) {
            note(effect.kind);
            if (effect.kind === 'stop') {
              note(effect.reason.code);
              if ('device' in effect.reason) note(`${effect.reason.code} on a card`);
            }
            if (effect.kind === 'freeze' && again.units.get(effect.unit)?.connections.size) note('freeze, open');
            if (effect.kind === 'start' || effect.kind === 'thaw')
              note(again.units.get(effect.unit)?.reason.code ?? '');
            if (effect.kind === 'refuse') note(effect.refusal.code);
          }
        }
      }),
      { numRuns: runs, seed, ...(REPLAY !== undefined && { path: REPLAY }) },
    );
    if (REPLAY !== undefined) return;
    // A model that never gets anywhere proves nothing.
    const rare = [
      'expected',
      'start',
      'grant',
      'freeze',
      'freeze, open',
      'thaw',
      'evicted',
      'evicted on a card',
      'relief on a card',
      'waits for cores',
      'relief',
      'idle',
      'removed',
      'abandoned',
      'stopped-by-user',
    ];
    const codes = ['TIMEOUT', 'NO_MEMORY', 'QUEUE_FULL', 'START_FAILED', 'SHUTTING_DOWN', 'NOT_FOUND'];
    for (const key of [...rare, ...codes])
      expect(seen.get(key) ?? 0, `${key}, by SEED=${seed}`).toBeGreaterThan(runs / 400);
  },
  60_000 + runs * 20,
);
