import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createArrivals, noteArrival, soonness, timeUntil } from './arrivals.ts';
import type { Arrivals } from './arrivals.ts';

const minute = 60_000;
const horizon = 30_000;

function asked(times: readonly number[]): Arrivals {
  const arrivals = createArrivals();
  for (const at of times) noteArrival(arrivals, at);
  return arrivals;
}
/** Asked for `count` times, every so often. */
const every = (ms: number, count: number): Arrivals => asked(Array.from({ length: count }, (_, i) => i * ms));

describe('soonness', () => {
  it('is about what a regular pause leaves until its end', () => {
    const arrivals = every(10 * minute, 60);
    const last = 59 * 10 * minute;
    const left = (after: number) => timeUntil(soonness(arrivals, horizon, last + after), horizon) / minute;
    expect(left(0)).toBeGreaterThan(5);
    expect(left(0)).toBeLessThan(12);
    expect(left(8 * minute)).toBeLessThan(left(0) / 2);
  });

  it('tells what is far off from what is farther, on a quiet machine too', () => {
    const hourly = every(60 * minute, 30);
    const daily = every(24 * 60 * minute, 30);
    const now = 29 * 24 * 60 * minute;
    noteArrival(hourly, now);
    const soon = (arrivals: Arrivals) => soonness(arrivals, horizon, now + 30 * minute);
    expect(soon(hourly)).toBeGreaterThan(3 * soon(daily));
  });

  it('takes what nobody asked for yet for rare', () => {
    const soon = soonness(createArrivals(), horizon, 0);
    expect(soon).toBeGreaterThan(0);
    expect(soon).toBeLessThan(soonness(every(minute, 10), horizon, 10 * minute));
  });

  it('is above 0 and at most 1, whatever the past', () => {
    const pauses = fc.array(fc.double({ min: 0, max: 1e9, noNaN: true }), { maxLength: 50 });
    const after = fc.double({ min: 0, max: 1e10, noNaN: true });
    fc.assert(
      fc.property(pauses, after, fc.integer({ min: 1, max: 1e8 }), (given, later, horizonMs) => {
        let at = 0;
        const arrivals = asked(given.map((pause) => (at += pause)));
        const soon = soonness(arrivals, horizonMs, at + later);
        expect(soon).toBeGreaterThan(0);
        expect(soon).toBeLessThan(1 + 1e-9);
      }),
    );
  });
});
