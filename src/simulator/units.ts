import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Tier, UnitSpec } from '#scheduler/types';
import { atLeast, choice, fieldsOf, text } from './fields.ts';
import type { Fields, Reader } from './fields.ts';

/** One unit of `U.json`. Bytes, and milliseconds. */
export interface SimUnit {
  readonly id: string;
  readonly bytes: number;
  readonly startMs: number;
  readonly stopMs: number;
  readonly freezeMs: number;
  readonly thawMs: number;
  /** What it keeps in memory while frozen. As much as `bytes` means that freezing gains nothing. */
  readonly frozenBytes: number;
  readonly priority: number;
  readonly tier: Tier;
  /** Requests that it serves at once. */
  readonly concurrency: number;
  readonly minReplicas: number;
  readonly maxReplicas: number;
}

export interface UnitsFile {
  readonly limitBytes: number;
  readonly units: readonly SimUnit[];
}

const tiers: readonly Tier[] = ['core', 'persistent', 'on-demand'];

const unitFields: Fields<SimUnit> = {
  id: { read: text },
  bytes: { read: atLeast(1) },
  startMs: { read: atLeast(0) },
  stopMs: { read: atLeast(0), otherwise: () => 200 },
  freezeMs: { read: atLeast(0), otherwise: () => 20 },
  thawMs: { read: atLeast(0), otherwise: () => 50 },
  frozenBytes: { read: atLeast(0), otherwise: ({ bytes }) => bytes ?? 0 },
  priority: { read: between(0, 100), otherwise: () => 50 },
  tier: { read: choice(tiers), otherwise: () => 'on-demand' },
  concurrency: { read: wholeAtLeast(1), otherwise: () => 4 },
  minReplicas: { read: wholeAtLeast(1), otherwise: () => 1 },
  maxReplicas: { read: wholeAtLeast(1), otherwise: ({ minReplicas }) => minReplicas ?? 1 },
};

function between(least: number, most: number): Reader<number> {
  return (value) => {
    const number = atLeast(least)(value);
    if (number > most) throw new Error(`must be at most ${most}, not ${number}.`);
    return number;
  };
}

function wholeAtLeast(least: number): Reader<number> {
  return (value) => {
    const number = atLeast(least)(value);
    if (!Number.isInteger(number)) throw new Error(`must be a whole number, not ${number}.`);
    return number;
  };
}

const fileFields: Fields<{ limitBytes: number; units: readonly unknown[] }> = {
  limitBytes: { read: atLeast(1) },
  units: {
    read: (value) => {
      if (!Array.isArray(value)) throw new Error('must be a list of units.');
      return value as unknown[];
    },
  },
};

/** Reads the text of `U.json`. Throws BAD_REQUEST, which names the file, the place and the field. */
export function parseUnits(source: string, file: string): UnitsFile {
  const { limitBytes, units: list } = fieldsOf(parseJson(source, file), fileFields, () => file);
  const placeOf = placer(file, source);
  const units = list.map((value, i) => fieldsOf(value, unitFields, () => placeOf(value, i)));
  const seen = new Map<UnitId, number>();
  for (const [i, unit] of units.entries()) {
    const other = seen.get(idOf(unit.id));
    if (other !== undefined) throw wrong(`${placeOf(unit, i)}: id "${unit.id}" is that of units[${other}] already.`);
    seen.set(idOf(unit.id), i);
    if (unit.id.includes('~'))
      throw wrong(`${placeOf(unit, i)}: id "${unit.id}": a ~ stands before the number of a copy.`);
    if (unit.frozenBytes > unit.bytes) {
      throw wrong(`${placeOf(unit, i)}: frozenBytes is ${unit.frozenBytes}, more than its bytes, ${unit.bytes}.`);
    }
    if (unit.maxReplicas < unit.minReplicas) {
      throw wrong(
        `${placeOf(unit, i)}: maxReplicas is ${unit.maxReplicas}, less than minReplicas, ${unit.minReplicas}.`,
      );
    }
  }
  return { limitBytes, units };
}

const wrong = (message: string): Fault => new Fault('BAD_REQUEST', message);

export function parseJson(source: string, place: string): unknown {
  try {
    return JSON.parse(source);
  } catch (error) {
    throw wrong(`${place}: no JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
}

/** Names a unit's place, `U.json:12: units[3]`; without the line where it has no id. */
function placer(file: string, source: string): (unit: unknown, index: number) => string {
  const ids = [...source.matchAll(/"id"\s*:\s*("(?:[^"\\]|\\.)*")/g)];
  return (unit, index) => {
    const found = ids[index];
    const id = typeof unit === 'object' && unit !== null && 'id' in unit ? unit.id : undefined;
    // Only where it is surely its own, and not that of another one after a unit that has none.
    const sure = found?.[1] !== undefined && JSON.parse(found[1]) === id;
    const line = sure ? `:${source.slice(0, found.index).split('\n').length}` : '';
    return `${file}${line}: units[${index}]`;
  };
}

/** `model/x` and `service/x` stand for themselves, any other name for a model. */
export const idOf = (id: string): UnitId => (/^(model|service)\/./.test(id) ? (id as UnitId) : unitId('model', id));

/** The unit as the scheduler knows it. It never goes to sleep by itself, and its start time is known from earlier runs. */
export const specOf = (unit: SimUnit): UnitSpec => ({
  id: idOf(unit.id),
  tier: unit.tier,
  priority: unit.priority,
  declaredBytes: unit.bytes,
  learnedAs: unit.id,
  learnedBytes: null,
  slots: unit.concurrency,
  idleAfterMs: Infinity,
  idleRung: 'cold',
  startMs: unit.startMs,
  rungs: {
    freezable: unit.frozenBytes < unit.bytes,
    frozenBytes: unit.frozenBytes,
    freezeMs: unit.freezeMs,
    thawMs: unit.thawMs,
    stopMs: unit.stopMs,
  },
  prewarm: true,
  replicas: { min: unit.minReplicas, max: unit.maxReplicas },
});
