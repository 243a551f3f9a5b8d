/** How many events a second the scheduler decides with a thousand units: `npm run bench:events -- --help`. */
import { simulate } from '#simulator/engine';
import { policies } from '#simulator/policies/index';
import { simulatedSettings } from '#simulator/policies/sutaz';
import { between, exponential, logNormal, seeded, weighted, zipf } from '#simulator/random';
import type { Random } from '#simulator/random';
import type { Arrival } from '#simulator/trace';
import type { SimUnit } from '#simulator/units';
import { main, named, positive, readOptions } from './_options.ts';

const about = `Plays 300,000 requests over 1,000 units under several strains, and counts the events that a policy decides in a second of
processor time: what else the machine does meanwhile does not count, the simulator's own work does.

Example:
  npm run bench:events -- --policies sutaz,llama-swap --rounds 5

The last line printed is the result as JSON.`;

const options = {
  policies: { value: 'NAME,...', help: `${Object.keys(policies).join(', ')} (sutaz,llama-swap)` },
  rounds: { value: 'N', help: 'of which the fastest counts (3)' },
  requests: { value: 'N', help: 'in each trace (300000)' },
  json: { help: 'nothing but the line of JSON' },
};

interface Strain {
  readonly name: string;
  /** How many times the limit all units need. */
  readonly factor: number;
  readonly skew: number;
  /** Between two requests, on average. */
  readonly everyMs: number;
  /** The part of its memory that a frozen unit keeps; 1 is nothing to gain by freezing. */
  readonly kept: number;
}

const strains: readonly Strain[] = [
  { name: 'half of them fit', factor: 2, skew: 1, everyMs: 60, kept: 0.3 },
  { name: 'a quarter fits', factor: 4, skew: 1, everyMs: 60, kept: 0.3 },
  { name: 'a quarter fits, nothing freezes', factor: 4, skew: 0.8, everyMs: 60, kept: 1 },
  { name: 'one of twenty fits', factor: 20, skew: 1, everyMs: 200, kept: 0.3 },
];

function unitOf(i: number, kept: number, random: Random): SimUnit {
  const bytes = Math.round(1e6 * logNormal(1, 0.7, random));
  return {
    ...{ id: `u${i}`, bytes, startMs: 500 + bytes / 1_000, stopMs: 200, freezeMs: 20, thawMs: 50 },
    ...{ frozenBytes: Math.round(bytes * kept), priority: 50, tier: 'on-demand', concurrency: 4 },
    ...{ minReplicas: 1, maxReplicas: 1 },
  };
}

function traceOf({ factor, skew, everyMs, kept }: Strain, requests: number) {
  const random = seeded(7, 'events');
  const units = Array.from({ length: 1_000 }, (_, i) => unitOf(i, kept, random));
  const limitBytes = Math.round(units.reduce((sum, { bytes }) => sum + bytes, 0) / factor);
  const draw = weighted(zipf(units.length, skew));
  let t = 0;
  const arrivals = Array.from({ length: requests }, (): Arrival => {
    t += exponential(everyMs, random);
    return {
      ...{ t: Math.round(t), unit: `u${draw(random)}`, serviceMs: between(100, 2_000, random) },
      ...{ principal: `p${Math.floor(random() * 20)}`, class: 'default', deadlineMs: Infinity },
    };
  });
  return { file: { limitBytes, units }, arrivals };
}

await main(() => {
  const given = readOptions('bench:events', about, options);
  if (!given) return;
  const rounds = positive('--rounds', given.one('rounds') ?? '3');
  const requests = positive('--requests', given.one('requests') ?? '300000');
  const chosen = given.list('policies', ['sutaz', 'llama-swap']);
  const rows: { strain: string; policy: string; eventsPerSecond: number; events: number; evictions: number }[] = [];
  for (const strain of strains) {
    const { file, arrivals } = traceOf(strain, requests);
    for (const policy of chosen) {
      const make = named('policy', policy, policies);
      let best = 0;
      let counted = { events: 0, evictions: 0 };
      for (let round = 0; round < rounds; round++) {
        const before = process.cpuUsage();
        const outcome = simulate(file, arrivals, make({ ...file, settings: simulatedSettings, arrivals }));
        const { user, system } = process.cpuUsage(before);
        best = Math.max(best, (outcome.events / (user + system)) * 1e6);
        counted = outcome;
      }
      const { events, evictions } = counted;
      rows.push({ strain: strain.name, policy, eventsPerSecond: Math.round(best), events, evictions });
      if (!given.has('json')) {
        const figures = `${(Math.round(best / 1_000) * 1_000).toLocaleString('en')} events a second`;
        console.log(`${strain.name.padEnd(34)}${policy.padEnd(18)}${figures}, ${evictions} evictions`);
      }
    }
  }
  console.log(JSON.stringify(rows));
});
