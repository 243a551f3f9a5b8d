import { describe, expect, it } from 'vitest';
import { ask } from './machines.fake.ts';
import { percentile, reportOf, sortedWaits } from './report.ts';

const outcome = (waits: readonly number[]) => ({
  ...{ policy: 'p', limitBytes: 100, waits: Float64Array.from(waits), coldStarts: 3, thaws: 2, evictions: 1 },
  ...{ maxReservedBytes: 90, byteSeconds: 12.3456, endMs: 5_000, wallMs: 2, events: 40 },
});

describe('the report', () => {
  it('has the fields of the format, in their order and before all others', () => {
    const report = reportOf(outcome([0, 10]), [ask(0, 'a'), ask(0, 'a')]);
    expect(Object.keys(report).slice(0, 14)).toEqual([
      ...['policy', 'requests', 'served', 'refused', 'coldStarts', 'thaws', 'evictions', 'waitMs'],
      ...['slowestPrincipalP95Ms', 'maxReservedBytes', 'limitBytes', 'byteSeconds', 'wallMs', 'eventsPerSecond'],
    ]);
    expect(Object.keys(report.waitMs)).toEqual(['p50', 'p95', 'p99', 'max']);
    expect(report).toMatchObject({ requests: 2, served: 2, refused: 0, eventsPerSecond: 20_000, byteSeconds: 12.346 });
  });

  it('counts the waits of those who were served, the refused apart', () => {
    const report = reportOf(outcome([30, NaN, 10]), [ask(0, 'a'), ask(0, 'a'), ask(0, 'a')]);
    expect(report).toMatchObject({ served: 2, refused: 1, meanWaitMs: 20 });
    expect(report.waitMs).toEqual({ p50: 10, p95: 30, p99: 30, max: 30 });
  });

  it('looks at each principal by itself', () => {
    const principals = ['ada', 'bob', 'ada', 'bob'].map((principal) => ask(0, 'a', { principal }));
    expect(reportOf(outcome([1, 5, 2, NaN]), principals).slowestPrincipalP95Ms).toBe(5);
  });

  it('takes each figure from its own place', () => {
    const hundred = Array.from({ length: 100 }, (_, i) => 100 - i);
    const arrivals = hundred.map((ms) => ask(0, 'a', { principal: ms > 40 ? 'ada' : 'bob' }));
    const { wallMs, eventsPerSecond, ...rest } = reportOf(outcome(hundred), arrivals);
    expect([wallMs, eventsPerSecond]).toEqual([2, 20_000]);
    expect(rest).toEqual({
      ...{ policy: 'p', requests: 100, served: 100, refused: 0, coldStarts: 3, thaws: 2, evictions: 1 },
      waitMs: { p50: 50, p95: 95, p99: 99, max: 100 },
      // ada waited 41 to 100.
      slowestPrincipalP95Ms: 97,
      ...{ maxReservedBytes: 90, limitBytes: 100, byteSeconds: 12.346, virtualMs: 5_000, meanWaitMs: 50.5 },
    });
  });

  it('is made of nothing, too', () => {
    expect(reportOf(outcome([]), [])).toMatchObject({
      served: 0,
      waitMs: { p50: 0, max: 0 },
      slowestPrincipalP95Ms: 0,
    });
  });
});

describe('a percentile', () => {
  it('is the nearest rank', () => {
    const hundred = sortedWaits(Array.from({ length: 100 }, (_, i) => 100 - i));
    expect([0, 0.01, 0.5, 0.95, 0.99, 1].map((part) => percentile(hundred, part))).toEqual([1, 1, 50, 95, 99, 100]);
  });
});
