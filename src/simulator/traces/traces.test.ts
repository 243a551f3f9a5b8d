import { describe, expect, it } from 'vitest';
import { simulate } from '../engine.ts';
import { policies } from '../policies/index.ts';
import { simulatedSettings } from '../policies/sutaz.ts';
import { reportOf } from '../report.ts';
import { arrivalParser, formatArrival } from '../trace.ts';
import type { Arrival } from '../trace.ts';
import { parseUnits } from '../units.ts';
import { flooder, withoutFlood } from './flood.ts';
import { families } from './index.ts';

const names = Object.keys(families);
const make = (name: string, seed: number, factor: number, arrivals = 400) => {
  const family = families[name];
  if (!family) throw new Error(`no ${name}`);
  return family(seed, { factor, arrivals });
};
const many = { factor: 6, arrivals: 2_000 };

describe('every family of traces', () => {
  it.each(names)('%s is the same for the same seed, and another for another', (name) => {
    const one = make(name, 3, 6);
    expect(make(name, 3, 6)).toEqual(one);
    expect(make(name, 4, 6).arrivals).not.toEqual(one.arrivals);
    expect(make(name, 4, 6).units.units).not.toEqual(one.units.units);
  });

  it('has units of its own in each family', () => {
    const fleets = new Set(names.map((name) => JSON.stringify(make(name, 3, 6, 50).units)));
    expect(fleets.size).toBe(names.length);
  });

  it.each(names)('%s is in order of time, and asks for nothing but its units', (name) => {
    const { units, arrivals } = make(name, 3, 6);
    const times = arrivals.map(({ t }) => t);
    expect(times).toEqual([...times].sort((a, b) => a - b));
    const ids = new Set(units.units.map(({ id }) => id));
    expect(arrivals.filter(({ unit }) => !ids.has(unit))).toEqual([]);
  });

  it.each(names)('%s can be written and read again', (name) => {
    const { units, arrivals } = make(name, 5, 3);
    expect(parseUnits(JSON.stringify(units), 'U.json')).toEqual(units);
    const parse = arrivalParser('T.jsonl', units.units);
    expect(arrivals.map((arrival) => parse(formatArrival(arrival)))).toEqual(arrivals);
  });

  it.each(names.flatMap((name) => [3, 6, 12].map((factor) => [name, factor] as const)))(
    '%s needs %d times the limit, with no unit too large to have others beside it',
    (name, factor) => {
      for (const seed of [1, 2, 3, 4]) {
        const { limitBytes, units } = make(name, seed, factor, 50).units;
        const total = units.reduce((sum, { bytes }) => sum + bytes, 0);
        expect(total / limitBytes).toBeCloseTo(factor, 1);
        expect(Math.max(...units.map(({ bytes }) => bytes))).toBeLessThanOrEqual(limitBytes * 0.45 + 1);
      }
    },
  );

  it.each(names)('%s has about as many arrivals as were asked for, over hours', (name) => {
    const { arrivals } = make(name, 1, 6, 5_000);
    expect(arrivals.length).toBeGreaterThanOrEqual(5_000);
    expect(arrivals.length).toBeLessThan(5_100);
    expect(arrivals.at(-1)?.t).toBeGreaterThan(3_600_000);
  });

  // The engine throws when a promise is broken.
  it.each(names.flatMap((name) => Object.keys(policies).map((policy) => [name, policy] as const)))(
    '%s is played by %s to the end, and everyone is served',
    (name, policy) => {
      const { units, arrivals } = make(name, 2, 6, 300);
      const options = { limitBytes: units.limitBytes, settings: simulatedSettings, arrivals };
      const outcome = simulate(units, arrivals, policies[policy]?.(options) ?? expect.fail());
      const report = reportOf(outcome, arrivals);
      expect(report).toMatchObject({ policy, served: arrivals.length, refused: 0 });
      expect(report.maxReservedBytes).toBeLessThanOrEqual(units.limitBytes);
      expect(report.coldStarts).toBeGreaterThan(0);
      expect(report.byteSeconds).toBeLessThanOrEqual((units.limitBytes * report.virtualMs) / 1_000);
    },
  );
});

describe('what a family is about', () => {
  const countBy = (arrivals: readonly Arrival[], key: (arrival: Arrival) => string | number) => {
    const counts = new Map<string | number, number>();
    for (const arrival of arrivals) counts.set(key(arrival), (counts.get(key(arrival)) ?? 0) + 1);
    return counts;
  };
  const play = (name: string) => families[name]?.(9, many) ?? expect.fail();

  it('zipf: few units have many of the requests, and not the same ones all along', () => {
    const { arrivals, units } = play('zipf');
    const ranked = (list: readonly Arrival[]) =>
      [...countBy(list, ({ unit }) => unit)].sort((a, b) => b[1] - a[1]).map(([unit]) => unit);
    const counts = [...countBy(arrivals, ({ unit }) => unit).values()].sort((a, b) => b - a);
    const top = counts.slice(0, Math.ceil(units.units.length / 4)).reduce((sum, count) => sum + count, 0);
    // Were all equally popular, chance alone would give the quarter that had the most about three of ten.
    expect(top / arrivals.length).toBeGreaterThan(0.4);
    expect(ranked(arrivals.slice(0, 700)).slice(0, 8)).not.toEqual(ranked(arrivals.slice(-700)).slice(0, 8));
  });

  it('diurnal: most comes by day', () => {
    const hours = countBy(play('diurnal').arrivals, ({ t }) => Math.floor(t / 3_600_000) % 24);
    const during = (from: number, to: number) =>
      Array.from({ length: to - from }, (_, i) => hours.get(from + i) ?? 0).reduce((sum, count) => sum + count, 0);
    expect(during(8, 18)).toBeGreaterThan(3 * during(0, 7));
  });

  it('bursts: minutes with many requests for one unit', () => {
    const minutes = countBy(play('bursts').arrivals, ({ t, unit }) => `${unit} ${Math.floor(t / 60_000)}`);
    expect([...minutes.values()].filter((count) => count >= 10).length).toBeGreaterThan(20);
  });

  it('agents: for each agent, the same unit mostly follows upon the same', () => {
    const { arrivals } = play('agents');
    const after = new Map<string, Map<string, number>>();
    const last = new Map<string, string>();
    for (const { principal, unit } of arrivals) {
      const key = `${principal} ${last.get(principal)}`;
      const follows = after.get(key) ?? new Map<string, number>();
      follows.set(unit, (follows.get(unit) ?? 0) + 1);
      after.set(key, follows);
      last.set(principal, unit);
    }
    const usual = [...after.values()].reduce((sum, follows) => sum + Math.max(...follows.values()), 0);
    expect(usual / arrivals.length).toBeGreaterThan(0.5);
  });

  it('flood: one principal sends three of ten, to few units', () => {
    const { arrivals } = play('flood');
    const flooded = arrivals.filter(({ principal }) => principal === flooder);
    expect(flooded.length / arrivals.length).toBeCloseTo(0.3, 1);
    expect(new Set(flooded.map(({ unit }) => unit)).size).toBeLessThanOrEqual(4);
    expect(withoutFlood(arrivals)).toHaveLength(arrivals.length - flooded.length);
  });

  it('sizes: a few take a quarter of the limit and more, most a tenth at most', () => {
    const { limitBytes, units } = play('sizes').units;
    const shares = units.map(({ bytes }) => bytes / limitBytes);
    expect(shares.filter((share) => share > 0.2).length).toBeGreaterThanOrEqual(2);
    expect(shares.filter((share) => share < 0.12).length / shares.length).toBeGreaterThan(0.7);
  });
});
