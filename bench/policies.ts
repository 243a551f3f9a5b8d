/** Policies on all families of traces, side by side: `npm run bench:policies -- --help`. */
import { simulate } from '#simulator/engine';
import { policies } from '#simulator/policies/index';
import { percentile, reportOf, sortedWaits } from '#simulator/report';
import type { Report } from '#simulator/report';
import { parseSettings } from '#simulator/settings';
import { usualOptions } from '#simulator/traces/family';
import type { Trace } from '#simulator/traces/family';
import { flooder, withoutFlood } from '#simulator/traces/flood';
import { families } from '#simulator/traces/index';
import type { Arrival } from '#simulator/trace';
import type { UnitsFile } from '#simulator/units';
import type { Settings } from '#scheduler/types';
import { main, named, positive, readOptions, wholeNumber } from './_options.ts';

const about = `Compares policies on every family of traces, as geometric means against one of them in the same run.

Example:
  npm run bench:policies -- --seeds 11,12,13 --families zipf,agents --factors 6 --settings horizonMs=120000

The last line printed is the result as JSON.`;

const options = {
  seeds: { value: 'N,...', help: 'a trace of each family and factor for each (1,2,3)' },
  families: { value: 'NAME,...', help: Object.keys(families).join(', ') },
  factors: { value: 'N,...', help: 'how many times the limit all units need (3,6,12)' },
  policies: {
    value: 'NAME,...',
    help: `${Object.keys(policies).join(', ')} (sutaz,lru,ollama,llama-swap,clairvoyant)`,
  },
  against: { value: 'NAME', help: 'the policy whose figures count as 1 (llama-swap)' },
  arrivals: { value: 'N', help: `how many requests a trace has, about (${usualOptions.arrivals})` },
  pace: { value: 'N', help: 'requests come so many times as fast as the family has them come (1)' },
  settings: { value: 'KEY=VALUE,...', help: "the scheduler's settings, for sutaz and foresight only" },
  'no-freeze': { help: 'nothing is gained by freezing: what the choice of victims and the order are worth alone' },
  json: { help: 'nothing but the line of JSON' },
};

interface Setup {
  readonly settings: Settings;
  readonly arrivals: number;
  readonly freeze: boolean;
  readonly pace: number;
}

const measures = {
  coldStarts: (report: Report) => Math.max(1, report.coldStarts),
  // A wait of nothing is taken for a millisecond: a mean of ratios knows no zero.
  p95: ({ waitMs }: Report) => Math.max(1, waitMs.p95),
  p99: ({ waitMs }: Report) => Math.max(1, waitMs.p99),
  max: ({ waitMs }: Report) => Math.max(1, waitMs.max),
  mean: ({ meanWaitMs }: Report) => Math.max(1, meanWaitMs),
} as const;
type Measure = keyof typeof measures;

/** One row: a policy on all traces of one family, as ratios to the other policy's. */
type Ratios = Readonly<Record<Measure, number>>;

const round = (value: number): number => Math.round(value * 1_000) / 1_000;

const geometricMean = (values: readonly number[]): number =>
  Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);

function run(name: string, units: UnitsFile, arrivals: readonly Arrival[], settings: Settings) {
  const policy = named('policy', name, policies)({ limitBytes: units.limitBytes, settings, arrivals });
  return simulate(units, arrivals, policy);
}

const unfrozen = (units: UnitsFile): UnitsFile => ({
  ...units,
  units: units.units.map((unit) => ({ ...unit, frozenBytes: unit.bytes })),
});

function traceOf(family: string, seed: number, factor: number, { arrivals, freeze, pace }: Setup): Trace {
  const { units, arrivals: made } = named('family', family, families)(seed, { factor, arrivals });
  return {
    units: freeze ? units : unfrozen(units),
    arrivals: made.map((arrival) => ({ ...arrival, t: Math.round(arrival.t / pace) })),
  };
}

/** The 95th percentile of the waits of everyone but the flooder; ms. */
function othersP95(name: string, units: UnitsFile, arrivals: readonly Arrival[], settings: Settings): number {
  const { waits } = run(name, units, arrivals, settings);
  const others = arrivals.flatMap(({ principal }, i) => (principal === flooder ? [] : [waits[i] ?? NaN]));
  return Math.max(1, percentile(sortedWaits(others), 0.95));
}

await main(() => {
  const given = readOptions('bench:policies', about, options);
  if (!given) return;
  const setup: Setup = {
    settings: parseSettings(given.all('settings')),
    arrivals: wholeNumber('--arrivals', given.one('arrivals') ?? String(usualOptions.arrivals)),
    freeze: !given.has('no-freeze'),
    pace: positive('--pace', given.one('pace') ?? '1'),
  };
  const seeds = given.list('seeds', ['1', '2', '3']).map((text) => wholeNumber('--seeds', text));
  const factors = given.list('factors', ['3', '6', '12']).map((text) => positive('--factors', text));
  const chosen = given.list('policies', ['sutaz', 'lru', 'ollama', 'llama-swap', 'clairvoyant']);
  const against = given.one('against') ?? 'llama-swap';
  const byFamily: Record<string, Record<string, Ratios>> = {};
  const all = new Map<string, Ratios[]>();
  const floods = new Map<string, number[]>();
  for (const family of given.list('families', Object.keys(families))) {
    const rows = new Map<string, Ratios[]>();
    for (const factor of factors) {
      for (const seed of seeds) {
        const trace = traceOf(family, seed, factor, setup);
        const reports = new Map(
          [...new Set([...chosen, against])].map((name) => [
            name,
            reportOf(run(name, trace.units, trace.arrivals, setup.settings), trace.arrivals),
          ]),
        );
        const base = reports.get(against);
        if (!base) continue;
        for (const [name, report] of reports) {
          const ratios = mapMeasures((measure) => measures[measure](report) / measures[measure](base));
          rows.set(name, [...(rows.get(name) ?? []), ratios]);
          all.set(name, [...(all.get(name) ?? []), ratios]);
        }
        if (family !== 'flood') continue;
        for (const name of chosen) {
          const with_ = othersP95(name, trace.units, trace.arrivals, setup.settings);
          const without = othersP95(name, trace.units, withoutFlood(trace.arrivals), setup.settings);
          floods.set(name, [...(floods.get(name) ?? []), with_ / without]);
        }
      }
    }
    byFamily[family] = meansOf(rows);
    if (!given.has('json')) console.log(tableOf(family, byFamily[family]));
  }
  const overall = meansOf(all);
  const floodRatio = Object.fromEntries([...floods].map(([name, ratios]) => [name, round(geometricMean(ratios))]));
  if (!given.has('json')) console.log(tableOf('all', overall));
  console.log(
    JSON.stringify({ against, seeds, factors, freeze: setup.freeze, pace: setup.pace, overall, byFamily, floodRatio }),
  );
});

function mapMeasures(value: (measure: Measure) => number): Ratios {
  const keys = Object.keys(measures) as Measure[];
  return Object.fromEntries(keys.map((key) => [key, value(key)])) as Record<Measure, number>;
}

function meansOf(rows: ReadonlyMap<string, readonly Ratios[]>): Record<string, Ratios> {
  const means = (list: readonly Ratios[]) =>
    mapMeasures((measure) => round(geometricMean(list.map((ratios) => ratios[measure]))));
  return Object.fromEntries([...rows].map(([name, list]) => [name, means(list)]));
}

function tableOf(title: string, rows: Readonly<Record<string, Ratios>>): string {
  const columns = Object.keys(measures) as Measure[];
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(18) : cell.padStart(11))).join('');
  return [
    line([title, ...columns]),
    ...Object.entries(rows).map(([name, ratios]) => line([name, ...columns.map((key) => ratios[key].toFixed(3))])),
    '',
  ].join('\n');
}
