import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { didYouMean } from '#kernel/nearest';
import type { WaiterClass } from '#scheduler/types';
import { atLeast, choice, fieldsOf, text } from './fields.ts';
import type { Fields } from './fields.ts';
import { idOf, parseJson } from './units.ts';
import type { SimUnit } from './units.ts';

/** One line of `T.jsonl`. Milliseconds. */
export interface Arrival {
  /** From the beginning. */
  readonly t: number;
  readonly unit: string;
  /** How long it holds its slot once it has it. */
  readonly serviceMs: number;
  readonly principal: string;
  readonly class: WaiterClass;
  /** After its arrival; Infinity for one who waits as long as it takes. */
  readonly deadlineMs: number;
}

export const defaultPrincipal = 'anyone';

const arrivalFields: Fields<Arrival> = {
  t: { read: atLeast(0) },
  unit: { read: text },
  serviceMs: { read: atLeast(0) },
  principal: { read: text, otherwise: () => defaultPrincipal },
  class: { read: choice<WaiterClass>(['interactive', 'default', 'batch']), otherwise: () => 'default' },
  deadlineMs: { read: atLeast(0), otherwise: () => Infinity },
};

/**
 * Reads `T.jsonl` line by line; empty lines are passed over. Throws BAD_REQUEST, which names the file, the line and the
 * field: also for a unit that is not among those given, and for arrivals that are not in order of time.
 */
export async function readTrace(file: string, units: readonly SimUnit[]): Promise<Arrival[]> {
  const parse = arrivalParser(file, units);
  const arrivals: Arrival[] = [];
  const lines = createInterface({ input: createReadStream(file, 'utf8'), crlfDelay: Infinity });
  for await (const line of lines) {
    const arrival = parse(line);
    if (arrival) arrivals.push(arrival);
  }
  return arrivals;
}

/** Takes the lines in their order; null for an empty one. */
export function arrivalParser(file: string, units: readonly SimUnit[]): (line: string) => Arrival | null {
  const known = new Map<UnitId, string>(units.map(({ id }) => [idOf(id), id]));
  let number = 0;
  let last = 0;
  return (line) => {
    number++;
    if (line.trim() === '') return null;
    const place = `${file}:${number}`;
    const arrival = fieldsOf(parseJson(line, place), arrivalFields, () => place);
    // The name as it stands in U.json: a million lines share it.
    const unit = known.get(idOf(arrival.unit));
    if (unit === undefined) {
      const meant = didYouMean(arrival.unit, known.values());
      throw new Fault('BAD_REQUEST', `${place}: unit "${arrival.unit}" is not among the units.${meant}`);
    }
    if (arrival.t < last) {
      throw new Fault('BAD_REQUEST', `${place}: t is ${arrival.t}, before the ${last} of an earlier line.`);
    }
    last = arrival.t;
    return { ...arrival, unit };
  };
}

/** The line for an arrival, without what is the default anyway. */
export function formatArrival({ t, unit, serviceMs, principal, class: rank, deadlineMs }: Arrival): string {
  return JSON.stringify({
    t,
    unit,
    serviceMs,
    ...(principal === defaultPrincipal ? {} : { principal }),
    ...(rank === 'default' ? {} : { class: rank }),
    ...(deadlineMs === Infinity ? {} : { deadlineMs }),
  });
}
