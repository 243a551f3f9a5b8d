import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { echoService, root, startPlatform } from '../../test/_platform.ts';
import { residentKb } from '../door/measure.ts';
import { quantile, rise, slope } from '../reliability/series.ts';
import { startModel } from '../reliability/model.ts';
import { runMix } from './mix.ts';
import type { Mix } from './mix.ts';

/** A line that `probe.mjs` wrote. */
interface Look {
  readonly kinds: Readonly<Record<string, number>>;
  readonly lagMs: number;
  /** Now and then, of what is left when everything was collected. */
  readonly live?: { readonly seconds: number; readonly heapBytes: number; readonly residentBytes: number };
}

interface Sample {
  /** Minutes from the beginning. */
  readonly at: number;
  readonly residentMib: number;
  readonly files: number;
}

export interface Leak {
  readonly minutes: number;
  readonly warmUpMinutes: number;
  readonly asked: number;
  readonly left: number;
  readonly wrong: Readonly<Record<string, number>>;
  /** MiB in ten minutes after the warm-up, each time when everything had been collected. */
  readonly heapSlope: number;
  readonly residentSlope: number;
  /** The same, the first and the last after the warm-up. */
  readonly heapMib: readonly [first: number, last: number];
  readonly residentMib: readonly [first: number, last: number];
  /** By how much the last third of the time after the warm-up lies above the first, in medians. */
  readonly filesRise: number;
  readonly handlesRise: Readonly<Record<string, number>>;
  /** Milliseconds, p99 of each second: the median and the 99th percentile of these. */
  readonly lagMs: readonly [median: number, p99: number];
  readonly missed: readonly string[];
}

const warmUpShare = 0.3;
/** Connections come and go with what is under way: a handful more at the end is none that stays. */
const flat = 8;

function sampleOf(pid: number, began: number): Sample {
  const at = (performance.now() - began) / 60_000;
  return { at, residentMib: residentKb(pid) / 1024, files: readdirSync(`/proc/${pid}/fd`).length };
}

/** Looks each second until it is told to end. */
function follow(pid: number, tell: (sample: Sample) => void) {
  const samples: Sample[] = [];
  const began = performance.now();
  const timer = setInterval(() => {
    const sample = sampleOf(pid, began);
    samples.push(sample);
    if (samples.length % 60 === 0) tell(sample);
  }, 1_000);
  return { samples, stop: () => clearInterval(timer) };
}

function handlesRise(looks: readonly Look[]): Record<string, number> {
  const kinds = new Set(looks.flatMap((look) => Object.keys(look.kinds)));
  return Object.fromEntries([...kinds].map((kind) => [kind, rise(looks.map((look) => look.kinds[kind] ?? 0))]));
}

const ends = (readings: readonly { readonly value: number }[]): [number, number] => [
  readings[0]?.value ?? NaN,
  readings.at(-1)?.value ?? NaN,
];

function memoryOf(looks: readonly Look[]) {
  const MiB = 2 ** 20;
  const of = (bytes: (live: NonNullable<Look['live']>) => number) =>
    looks.flatMap(({ live }) => (live ? [{ at: live.seconds / 600, value: bytes(live) / MiB }] : []));
  const [heap, resident] = [of(({ heapBytes }) => heapBytes), of(({ residentBytes }) => residentBytes)];
  return {
    ...{ heapSlope: slope(heap), residentSlope: slope(resident) },
    ...{ heapMib: ends(heap), residentMib: ends(resident) },
  };
}

function judge(minutes: number, mix: Mix, samples: readonly Sample[], looks: readonly Look[]): Leak {
  const warmUpMinutes = warmUpShare * minutes;
  const warm = samples.filter(({ at }) => at >= warmUpMinutes);
  const warmLooks = looks.slice(Math.floor(warmUpShare * looks.length));
  const lags = warmLooks.map(({ lagMs }) => lagMs);
  const found = {
    ...memoryOf(warmLooks),
    filesRise: rise(warm.map(({ files }) => files)),
    handlesRise: handlesRise(warmLooks),
    lagMs: [quantile(lags, 0.5), quantile(lags, 0.99)] as const,
  };
  const grown = Object.entries(found.handlesRise).filter(([, by]) => by > flat);
  const missed = [
    ...(mix.wrong.size === 0 ? [] : ['something was answered wrong']),
    ...(found.heapSlope <= 1 ? [] : ['what is in use of the heap grew by more than 1 MiB in 10 minutes']),
    ...(found.residentSlope <= 1 ? [] : ['the resident memory grew by more than 1 MiB in 10 minutes']),
    ...(found.filesRise <= flat ? [] : ['open files grew']),
    ...grown.map(([kind]) => `${kind} grew`),
    ...(found.lagMs[0] <= 20 ? [] : ['p99 of the event loop is above 20 ms']),
  ];
  const { asked, left } = mix;
  return { ...{ minutes, warmUpMinutes, asked, left, wrong: Object.fromEntries(mix.wrong) }, ...found, missed };
}

/** R29 leak: a mix of everything at a steady pace, and what of the platform grows. */
export async function watchLeaks(home: string, minutes: number, say: (text: string) => void): Promise<Leak> {
  const model = await startModel();
  const probe = join(home, 'probe.jsonl');
  const echo = echoService('echo', { dir: `${root}test` }).replace(/(resources: \{)/, '$1 concurrency: 256,');
  const env = { NODE_OPTIONS: `--import=${root}bench/soak/probe.mjs`, SUTAZ_SOAK_PROBE: probe };
  const catalog = { 'services/echo.yaml': echo, ...model.definitions };
  const platform = await startPlatform({ home: join(home, 'platform'), catalog, env });
  try {
    await platform.fetch('/services/echo/x');
    const following = follow(platform.pid, ({ at, residentMib, files }) =>
      say(`${at.toFixed(0)} min: ${residentMib.toFixed(1)} MiB resident, ${files} open files`),
    );
    const mix = await runMix(platform, minutes * 60_000);
    following.stop();
    const lines = (await readFile(probe, 'utf8')).trim().split('\n');
    return judge(
      minutes,
      mix,
      following.samples,
      lines.map((line) => JSON.parse(line) as Look),
    );
  } finally {
    await platform.stop();
    model.close();
  }
}
