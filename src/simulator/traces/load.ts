import { logNormal, pick, weighted, zipf } from '../random.ts';
import type { Random } from '../random.ts';
import type { Arrival } from '../trace.ts';
import type { SimUnit, UnitsFile } from '../units.ts';

/** Milliseconds: half of all under 2 s, the longest 20 s. */
export const serviceTime = (random: Random): number =>
  Math.round(Math.min(20_000, Math.max(200, logNormal(2_000, 1.1, random))));

/** How long the requests would keep the machine's whole memory, if half of them had to bring their unit up; ms. */
export function work(
  requests: readonly { readonly unit: string; readonly serviceMs: number }[],
  fleet: UnitsFile,
): number {
  const byId = new Map(fleet.units.map((unit) => [unit.id, unit]));
  let total = 0;
  for (const { unit: id, serviceMs } of requests) {
    const unit = byId.get(id);
    if (unit) total += unit.bytes * (serviceMs + 0.5 * (unit.startMs + unit.stopMs));
  }
  return total / fleet.limitBytes;
}

/**
 * Between these parts of what the machine could do by that measure. Where more than half of the requests have to wait for
 * their unit it is strained at the upper end, yet what waits does not grow without end: that begins above 1.2.
 */
export const usualLoad = { least: 0.5, most: 0.9 };

/** Principals ask as unequally often as units are asked for. */
export function principals(count: number, random: Random): () => string {
  const draw = weighted(zipf(count, 0.8));
  return () => `person-${draw(random) + 1}`;
}

/** Request by request: which unit, for how long, by whom. When is still open. */
export interface Asking {
  readonly unit: string;
  readonly serviceMs: number;
  readonly principal: string;
}

export const asking = (unit: SimUnit, principal: string, random: Random): Asking => ({
  ...{ unit: unit.id, serviceMs: serviceTime(random), principal },
});

export const arrive = (t: number, { unit, serviceMs, principal }: Asking): Arrival => ({
  ...{ t: Math.round(t), unit, serviceMs, principal, class: 'default', deadlineMs: Infinity },
});

export const inOrder = (arrivals: readonly Arrival[]): Arrival[] => [...arrivals].sort((a, b) => a.t - b.t);

/** Popularity has nothing to do with size. */
export const anyUnit = (fleet: UnitsFile, random: Random): SimUnit => pick(fleet.units, random);
