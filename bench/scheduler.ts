/**
 * The scheduler on a trace, in virtual time: `npm run bench:scheduler -- --help`. What it reads and prints: docs/simulator.md.
 */
import { readFile } from 'node:fs/promises';
import { Fault, systemCode } from '#kernel/faults';
import { formatBytes, formatDuration } from '#kernel/quantities';
import { simulate } from '#simulator/engine';
import { policies } from '#simulator/policies/index';
import { reportOf } from '#simulator/report';
import type { Report } from '#simulator/report';
import { parseSettings } from '#simulator/settings';
import { readTrace } from '#simulator/trace';
import { parseUnits } from '#simulator/units';
import { main, named, readOptions, usage } from './_options.ts';

const about = `Plays a trace of requests against a set of units, in virtual time and under one policy.

Example:
  npm run bench:traces -- --family zipf --factor 6 --seed 7 --out /tmp/zipf
  npm run bench:scheduler -- --units /tmp/zipf/U.json --trace /tmp/zipf/T.jsonl --policy sutaz --settings ageingMs=120000

The last line printed is the result as JSON.`;

const options = {
  units: { value: 'U.json', help: 'the units and the limit' },
  trace: { value: 'T.jsonl', help: 'one arrival a line' },
  policy: { value: 'NAME', help: `${Object.keys(policies).join(', ')} (sutaz)` },
  settings: { value: 'KEY=VALUE,...', help: "the scheduler's settings, for sutaz and foresight only" },
  json: { help: 'nothing but the line of JSON' },
};

await main(async () => {
  const given = readOptions('bench:scheduler', about, options);
  if (!given) return;
  const make = named('policy', given.one('policy') ?? 'sutaz', policies);
  const settings = parseSettings(given.all('settings'));
  const [unitsFile, traceFile] = [given.one('units'), given.one('trace')];
  if (unitsFile === undefined || traceFile === undefined) throw usage('--units and --trace are needed. See --help.');
  const units = await opened(unitsFile, async () => parseUnits(await readFile(unitsFile, 'utf8'), unitsFile));
  const arrivals = await opened(traceFile, () => readTrace(traceFile, units.units));
  const policy = make({ limitBytes: units.limitBytes, settings, arrivals });
  const report = reportOf(simulate(units, arrivals, policy), arrivals);
  if (!given.has('json')) console.log(table(report));
  console.log(JSON.stringify(report));
});

async function opened<T>(file: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read();
  } catch (error) {
    // What is wrong inside the file says so by itself.
    const code = error instanceof Fault ? undefined : systemCode(error);
    if (code === undefined) throw error;
    throw usage(`${file} cannot be read: ${code}.`);
  }
}

function table({ waitMs, ...report }: Report): string {
  const rows: readonly (readonly [string, string])[] = [
    ['policy', report.policy],
    ['requests', `${report.requests}: ${report.served} served, ${report.refused} refused`],
    ['virtual time', formatDuration(report.virtualMs)],
    ['cold starts', String(report.coldStarts)],
    ['thaws', String(report.thaws)],
    ['evictions', String(report.evictions)],
    ['wait p50', formatDuration(waitMs.p50)],
    ['wait p95', formatDuration(waitMs.p95)],
    ['wait p99', formatDuration(waitMs.p99)],
    ['wait max', formatDuration(waitMs.max)],
    ['slowest principal p95', formatDuration(report.slowestPrincipalP95Ms)],
    ['most reserved', `${formatBytes(report.maxReservedBytes)} of ${formatBytes(report.limitBytes)}`],
    ['events a second', String(report.eventsPerSecond)],
  ];
  return rows.map(([what, figure]) => `${what.padEnd(22)}  ${figure}`).join('\n');
}
