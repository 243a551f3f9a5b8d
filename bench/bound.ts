/** Whether anybody waits longer than the stated bound: `npm run bench:bound -- --help`. */
import { simulate } from '#simulator/engine';
import { simulatedSettings, sutaz } from '#simulator/policies/sutaz';
import { usualOptions } from '#simulator/traces/family';
import { families } from '#simulator/traces/index';
import { main, named, positive, readOptions, usage, wholeNumber } from './_options.ts';

const about = `Counts who waits longer than the bound: the setting ageingMs, the longest start with the stop before it, and the longest
request, together. It is meant for loads below what the machine can do.

Example:
  npm run bench:bound -- --pace 0.5 --slots 1000

The last line printed is the result as JSON.`;

const options = {
  seeds: { value: 'N,...', help: 'a trace of each family and factor for each (101,102,103)' },
  families: { value: 'NAME,...', help: Object.keys(families).join(', ') },
  factors: { value: 'N,...', help: 'how many times the limit all units need (3,6,12)' },
  pace: { value: 'N', help: 'requests come so many times as fast as the family has them come (0.5)' },
  slots: { value: 'N', help: 'requests that each unit serves at once, in place of its own number' },
  json: { help: 'nothing but the line of JSON' },
};

interface Count {
  requests: number;
  over: number;
  longestMs: number;
  /** The smallest and the largest of the traces' bounds. */
  boundMs: readonly [number, number];
}

function count(family: string, seed: number, factor: number, pace: number, slots: number | null): Count {
  const made = named('family', family, families)(seed, { ...usualOptions, factor });
  const units = made.units.units.map((unit) => (slots === null ? unit : { ...unit, concurrency: slots }));
  const file = { ...made.units, units };
  const arrivals = made.arrivals.map((arrival) => ({ ...arrival, t: Math.round(arrival.t / pace) }));
  const { waits } = simulate(file, arrivals, sutaz(file.limitBytes));
  const start = units.reduce((most, { startMs, stopMs }) => Math.max(most, startMs + stopMs), 0);
  const service = arrivals.reduce((most, { serviceMs }) => Math.max(most, serviceMs), 0);
  const bound = simulatedSettings.ageingMs + start + service;
  return {
    requests: waits.length,
    over: waits.filter((ms) => ms > bound).length,
    longestMs: waits.reduce((most, ms) => Math.max(most, ms), 0),
    boundMs: [bound, bound],
  };
}

const add = (a: Count, b: Count): Count => ({
  requests: a.requests + b.requests,
  over: a.over + b.over,
  longestMs: Math.max(a.longestMs, b.longestMs),
  boundMs: [Math.min(a.boundMs[0], b.boundMs[0]), Math.max(a.boundMs[1], b.boundMs[1])],
});

await main(() => {
  const given = readOptions('bench:bound', about, options);
  if (!given) return;
  const seeds = given.list('seeds', ['101', '102', '103']).map((text) => wholeNumber('--seeds', text));
  const factors = given.list('factors', ['3', '6', '12']).map((text) => positive('--factors', text));
  const pace = positive('--pace', given.one('pace') ?? '0.5');
  const slotsGiven = given.one('slots');
  const slots = slotsGiven === undefined ? null : wholeNumber('--slots', slotsGiven);
  if (slots !== null && slots < 1) throw usage('--slots must be at least 1.');
  const byFamily: Record<string, Count> = {};
  for (const family of given.list('families', Object.keys(families))) {
    const counts = factors.flatMap((factor) => seeds.map((seed) => count(family, seed, factor, pace, slots)));
    const total = counts.reduce(add);
    byFamily[family] = total;
    if (given.has('json')) continue;
    const [least, most] = total.boundMs.map((ms) => Math.round(ms / 1_000));
    const longest = Math.round(total.longestMs / 1_000);
    console.log(
      `${family.padEnd(10)} ${total.over} of ${total.requests} over ${least} to ${most} s, the longest ${longest} s`,
    );
  }
  console.log(JSON.stringify({ seeds, factors, pace, slots, byFamily }));
});
