import type { Effect, Event } from '#scheduler/types';
import type { Policy } from './policy.ts';
import type { Arrival } from './trace.ts';
import { parseUnits } from './units.ts';
import type { SimUnit, UnitsFile } from './units.ts';

/** Units of 10 bytes that start in a second, unless told otherwise. */
export const fleet = (limitBytes: number, units: readonly (Partial<SimUnit> & { id: string })[]): UnitsFile =>
  parseUnits(
    JSON.stringify({ limitBytes, units: units.map((unit) => ({ bytes: 10, startMs: 1_000, ...unit })) }),
    'U.json',
  );

export const ask = (t: number, unit: string, more: Partial<Arrival> = {}): Arrival => ({
  ...{ t, unit, serviceMs: 100, principal: 'ada', class: 'default', deadlineMs: Infinity },
  ...more,
});

/** A policy that answers events as it is told and never rings. */
export const scripted = (
  answer: (event: Event, now: number) => readonly Effect[],
  nextWake: (now: number) => number = () => Infinity,
): Policy => ({ name: 'scripted', step: answer, nextWake });
