/** Makes loads for the simulator from seeds: `npm run bench:traces -- --help`. The families: docs/simulator.md. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatDuration } from '#kernel/quantities';
import { formatArrival } from '#simulator/trace';
import { usualOptions } from '#simulator/traces/family';
import type { Trace } from '#simulator/traces/family';
import { families } from '#simulator/traces/index';
import { main, named, positive, readOptions, usage, wholeNumber } from './_options.ts';

const about = `Writes U.json and T.jsonl, the same for the same seed.

Example:
  npm run bench:traces -- --family agents --factor 12 --seed 7 --out /tmp/agents
  npm run bench:traces -- --all --seed 7 --out /tmp/traces      each family and factor in a folder of its own`;

const options = {
  family: { value: 'NAME', help: Object.keys(families).join(', ') },
  factor: { value: 'N', help: 'how many times the limit all units need (6)' },
  seed: { value: 'N', help: 'a whole number (1)' },
  arrivals: { value: 'N', help: `how many requests, about (${usualOptions.arrivals})` },
  out: { value: 'DIR', help: 'where to; made if it is not there' },
  all: { help: 'all families, with the factors 3, 6 and 12' },
};

await main(async () => {
  const given = readOptions('bench:traces', about, options);
  if (!given) return;
  const out = given.one('out');
  if (out === undefined) throw usage('--out DIR is needed. See --help.');
  const seed = wholeNumber('--seed', given.one('seed') ?? '1');
  const arrivals = wholeNumber('--arrivals', given.one('arrivals') ?? String(usualOptions.arrivals));
  const factors = given.has('factor') || !given.has('all') ? [given.one('factor') ?? '6'] : ['3', '6', '12'];
  const family = given.one('family');
  if (given.has('all') === (family !== undefined)) throw usage('Either --family NAME or --all is needed. See --help.');
  for (const name of family === undefined ? Object.keys(families) : [family]) {
    const make = named('family', name, families);
    for (const text of factors) {
      const factor = positive('--factor', text);
      const folder = given.has('all') ? join(out, `${name}-${text}-${seed}`) : out;
      await write(folder, make(seed, { factor, arrivals }));
    }
  }
});

async function write(folder: string, { units, arrivals }: Trace): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'U.json'), `${JSON.stringify(units, null, 1)}\n`);
  await writeFile(join(folder, 'T.jsonl'), arrivals.map((arrival) => `${formatArrival(arrival)}\n`).join(''));
  const last = arrivals.at(-1)?.t ?? 0;
  console.log(`${folder}: ${units.units.length} units, ${arrivals.length} arrivals in ${formatDuration(last)}`);
}
