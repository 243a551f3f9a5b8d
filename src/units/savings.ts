import type { ApiSavedUnit, ApiSavings } from '#contracts/explanations';
import type { StateTable } from '#contracts/state';
import type { Clock } from '#kernel/clock';
import { replicaOf } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { chargedOf, reservationOf } from '#scheduler/state';
import type { State, Unit } from '#scheduler/state';
import type { Effect, Event } from '#scheduler/types';

/** Sums of one unit. Byte-milliseconds, counts and milliseconds; `since` is wall time. */
type Tally = {
  readonly since: number;
  /** What it would have held if it had always been on. */
  alwaysByteMs: number;
  heldByteMs: number;
  starts: number;
  startMs: number;
  thaws: number;
  thawMs: number;
};

/** What is kept over restarts. */
export type SavedSavings = {
  readonly since: number;
  readonly uptimeMs: number;
  readonly units: Readonly<Record<string, Readonly<Tally>>>;
};

/**
 * What was spared against keeping everything awake: for each unit the integral of what it would reserve less what it is
 * charged, over the time the platform ran. A unit counts from its first start on, so that what nobody ever used spares
 * nothing. Pure: the caller says what a unit holds whenever that changes, and when.
 */
export interface SavingsMeter {
  /** From now on the unit would reserve `always` and holds `held` bytes. One that never held anything is not counted yet. */
  set(unit: UnitId, always: number, held: number, now: number, wall: number): void;
  woke(unit: UnitId, how: 'start' | 'thaw', ms: number): void;
  counted(): Iterable<UnitId>;
  saved(now: number): SavedSavings;
  report(now: number): ApiSavings;
}

interface Level {
  readonly always: number;
  readonly held: number;
  readonly from: number;
}

export function createSavingsMeter(before: SavedSavings | null, now: number, wall: number): SavingsMeter {
  const since = before?.since ?? wall;
  const tallies = new Map(Object.entries(before?.units ?? {}).map(([id, tally]) => [id as UnitId, { ...tally }]));
  const levels = new Map<UnitId, Level>();
  const nothing: Level = { always: 0, held: 0, from: now };
  const uptime = (at: number) => (before?.uptimeMs ?? 0) + (at - now);
  const close = (unit: UnitId, at: number): void => {
    const [tally, level] = [tallies.get(unit), levels.get(unit)];
    if (!tally || !level) return;
    tally.alwaysByteMs += level.always * (at - level.from);
    tally.heldByteMs += level.held * (at - level.from);
    levels.set(unit, { ...level, from: at });
  };
  const closeAll = (at: number) => {
    for (const unit of tallies.keys()) close(unit, at);
  };
  return {
    set(unit, always, held, at, wallAt) {
      if (!tallies.has(unit)) {
        if (held <= 0) return;
        tallies.set(unit, newTally(wallAt));
      }
      close(unit, at);
      levels.set(unit, { always, held, from: at });
    },
    woke(unit, how, ms) {
      const tally = tallies.get(unit);
      if (!tally) return;
      if (how === 'start') tally.starts++;
      else tally.thaws++;
      tally[`${how}Ms`] += ms;
    },
    counted: () => tallies.keys(),
    saved(at) {
      closeAll(at);
      return {
        since,
        uptimeMs: uptime(at),
        units: Object.fromEntries([...tallies].map(([id, one]) => [id, { ...one }])),
      };
    },
    report(at) {
      closeAll(at);
      const all = [...tallies].map(([id, tally]) => ({ id, tally, level: levels.get(id) ?? nothing }));
      return reportOf(all, since, uptime(at));
    },
  };
}

const newTally = (since: number): Tally => ({
  ...{ since, alwaysByteMs: 0, heldByteMs: 0, starts: 0, startMs: 0, thaws: 0, thawMs: 0 },
});

type Counted = { readonly id: UnitId; readonly tally: Readonly<Tally>; readonly level: Level };

function reportOf(all: readonly Counted[], since: number, uptimeMs: number): ApiSavings {
  const sum = (of: (one: Counted) => number) => all.reduce((total, one) => total + of(one), 0);
  const average = (byteMs: number) => (uptimeMs > 0 ? byteMs / uptimeMs : 0);
  const always = sum(({ tally }) => tally.alwaysByteMs);
  const held = sum(({ tally }) => tally.heldByteMs);
  return {
    since: new Date(since).toISOString(),
    uptimeMs,
    alwaysOnBytes: sum(({ level }) => level.always),
    heldBytes: sum(({ level }) => level.held),
    averageAlwaysOnBytes: average(always),
    averageHeldBytes: average(held),
    sparedByteSeconds: (always - held) / 1_000,
    starts: sum(({ tally }) => tally.starts),
    startMs: sum(({ tally }) => tally.startMs),
    thaws: sum(({ tally }) => tally.thaws),
    thawMs: sum(({ tally }) => tally.thawMs),
    units: all
      .map(({ id, tally, level }): ApiSavedUnit => {
        const { starts, startMs, thaws, thawMs, alwaysByteMs, heldByteMs } = tally;
        return {
          ...{ id, since: new Date(tally.since).toISOString(), alwaysOnBytes: level.always, heldBytes: level.held },
          ...{ sparedByteSeconds: (alwaysByteMs - heldByteMs) / 1_000, starts, startMs, thaws, thawMs },
        };
      })
      .sort((a, b) => b.sparedByteSeconds - a.sparedByteSeconds),
  };
}

export interface Savings {
  /** Before the scheduler takes an event. */
  event(event: Event): void;
  effect(effect: Effect): void;
  /** After the scheduler took what came. Costs nothing when no unit's bytes may have changed. */
  settled(): void;
  save(): void;
  report(): ApiSavings;
}

export interface SavingsOptions {
  readonly state: () => State;
  readonly clock: Clock;
  readonly table: StateTable<SavedSavings>;
}

/** What it would hold if it were always awake: nobody would keep more copies of a unit awake than its least number. */
const alwaysOf = (unit: Unit): number =>
  unit.original && replicaOf(unit.spec.id) > unit.original.spec.replicas.min ? chargedOf(unit) : reservationOf(unit);

/** The one row of the table. */
const row = 'all';

/** Follows the scheduler by its events, and keeps the sums beside what was learned: `save` is to be called now and then. */
export function openSavings({ state, clock, table }: SavingsOptions): Savings {
  const meter = createSavingsMeter(table.get(row), clock.now(), clock.wall());
  const changed = new Set<UnitId>();
  let everything = false;
  const look = (id: UnitId, now: number, wall: number) => {
    const unit = state().units.get(id);
    meter.set(id, unit ? alwaysOf(unit) : 0, unit ? chargedOf(unit) : 0, now, wall);
  };
  const settled = (): void => {
    if (!everything && changed.size === 0) return;
    const units = everything ? new Set([...state().units.keys(), ...meter.counted()]) : changed;
    const [now, wall] = [clock.now(), clock.wall()];
    for (const id of units) look(id, now, wall);
    changed.clear();
    everything = false;
  };
  const woke = (id: UnitId, from: 'starting' | 'thawing') => {
    const phase = state().units.get(id)?.phase;
    if (phase?.kind === from) meter.woke(id, from === 'starting' ? 'start' : 'thaw', clock.now() - phase.since);
  };
  return {
    event(event) {
      if (event.kind === 'started') woke(event.unit, 'starting');
      if (event.kind === 'thawed') woke(event.unit, 'thawing');
      if (event.kind === 'configure') everything = true;
      else if (event.kind === 'describe') changed.add(event.unit.id);
      else if ('unit' in event && event.kind !== 'release' && event.kind !== 'leave') changed.add(event.unit);
    },
    effect(effect) {
      if (effect.kind !== 'grant' && effect.kind !== 'refuse') changed.add(effect.unit);
    },
    settled,
    save: () => table.put(row, meter.saved(clock.now())),
    report: () => meter.report(clock.now()),
  };
}
