/** R13 overload-shed: what becomes of five times what a service can do: `npm run bench:overload -- --help`. */
import { echoService, root, startPlatform } from '../test/_platform.ts';
import { homeOf } from './_home.ts';
import { main, positive, readOptions } from './_options.ts';
import { atRate, createClient, inTurn } from './reliability/asking.ts';
import type { Answer, Client } from './reliability/asking.ts';
import { quantile } from './reliability/series.ts';

const about = `Asks a service that takes 50 ms and answers ten at once for five times of what it can do, once with a limit of ten at once and
once with the scheduler's own queue before it. Its capacity is measured first, by ten who ask in turn. Meanwhile the platform is asked
how it is, ten times a second. Ends with 1 when a goal is missed.

Example:
  npm run bench:overload -- --seconds 10

The last line printed is the result as JSON.`;

const options = {
  seconds: { value: 'N', help: 'of overload (30)' },
  home: { value: 'DIR', help: 'kept; without it a temporary one' },
  json: { help: 'nothing but the line of JSON' },
};

const places = 10;
const path = '/services/echo/slow?ms=50';
const times = 5;
const capacityMs = 5_000;
const recoveryMs = 5_000;

/** The two ways in which the platform says that it is too much: a limit that was set, and a queue that is full. */
const ways: Readonly<Record<string, { readonly config: string; readonly extra?: string }>> = {
  limit: { config: `limits: { rules: [{ for: { service: echo }, concurrent: ${places} }] }\n` },
  queue: { config: `scheduler: { queue: ${places} }\n`, extra: `concurrency: ${places}` },
};

/** Milliseconds are p99 and the longest; `goodput` is a share of the capacity. */
interface Figures {
  readonly capacity: number;
  readonly goodput: number;
  readonly refused: number;
  readonly refusedMs: readonly [p99: number, most: number];
  readonly healthMs: readonly [p99: number, most: number];
  readonly recoveredMs: number;
  /** Answers that were neither the service's nor a refusal with 429 or 503. */
  readonly other: number;
}

const goals: readonly (readonly [what: string, isMet: (figures: Figures) => boolean])[] = [
  ['goodput at least 90 % of the capacity', ({ goodput }) => goodput >= 0.9],
  ['refused within 50 ms (p99)', ({ refused, refusedMs }) => refused > 0 && refusedMs[0] <= 50],
  ['health and state within 100 ms (p99)', ({ healthMs }) => healthMs[0] <= 100],
  ['recovered within 2 s', ({ recoveredMs }) => recoveredMs <= 2_000],
  ['nothing but answers, 429 and 503', ({ other }) => other === 0],
];

const isServed = ({ status }: Answer): boolean => status === 200;
const isRefusal = ({ status }: Answer): boolean => status === 429 || status === 503;
const worst = (answers: readonly Answer[]): [number, number] => {
  const ms = answers.map((one) => one.ms);
  return [quantile(ms, 0.99), Math.max(...ms)];
};

/** For how many milliseconds after `since` something was still refused. */
function recovery(answers: readonly Answer[], since: number): number {
  return Math.max(0, ...answers.filter((one) => !isServed(one)).map(({ at }) => at - since));
}

async function measure(client: Client, health: Client, ms: number): Promise<Figures> {
  const ask = () => client.ask(path);
  const capacity = (await inTurn(places, capacityMs, ask)).length / (capacityMs / 1_000);
  const looks = async () => [await health.ask('/healthz'), await health.ask('/sutaz/v1/state')];
  const over = performance.now() + ms;
  const [answers, healthy] = await Promise.all([atRate(times * capacity, ms, ask), atRate(10, ms, looks)]);
  const since = performance.now();
  const after = await atRate(capacity / 2, recoveryMs, ask);
  const served = answers.filter(isServed);
  const refused = answers.filter(isRefusal);
  const looked = healthy.flat();
  const unwell = looked.filter((one) => !isServed(one)).length;
  return {
    capacity,
    goodput: served.filter((one) => one.at + one.ms <= over).length / (ms / 1_000) / capacity,
    refused: refused.length,
    refusedMs: worst(refused),
    healthMs: worst(looked),
    recoveredMs: recovery(after, since),
    other: answers.length - served.length - refused.length + unwell,
  };
}

async function overloaded(way: string, home: string, ms: number): Promise<Figures> {
  const { config = '', extra = '' } = ways[way] ?? {};
  const echo = echoService('echo', { dir: `${root}test` }).replace(/(resources: \{)/, `$1 ${extra && `${extra},`}`);
  const platform = await startPlatform({ home, config, catalog: { 'services/echo.yaml': echo } });
  const [client, health] = [createClient(platform, 1_000), createClient(platform, 4)];
  try {
    const { status } = await client.ask(path);
    if (status !== 200) throw new Error(`The service answers ${status}.`);
    return await measure(client, health, ms);
  } finally {
    client.close();
    health.close();
    await platform.stop();
  }
}

const told = (way: string, figures: Figures): string => {
  const both = (ms: Figures['refusedMs']) => `p99 ${ms[0].toFixed(0)} ms, most ${ms[1].toFixed(0)} ms`;
  return [
    `${way}: ${figures.capacity.toFixed(0)} a second, ${(100 * figures.goodput).toFixed(0)} % of it under overload`,
    `${figures.refused} refused (${both(figures.refusedMs)})`,
    `health and state (${both(figures.healthMs)})`,
    `recovered after ${figures.recoveredMs.toFixed(0)} ms`,
    `${figures.other} others`,
  ].join('; ');
};

await main(async () => {
  const given = readOptions('bench:overload', about, options);
  if (!given) return;
  const ms = positive('--seconds', given.one('seconds') ?? '30') * 1_000;
  const home = await homeOf(given, 'overload');
  const say = (text: string) => void (given.has('json') || console.error(text));
  const result: Record<string, Figures> = {};
  const missed: string[] = [];
  for (const way of Object.keys(ways)) {
    const figures = (result[way] = await overloaded(way, home, ms));
    say(told(way, figures));
    missed.push(...goals.filter(([, isMet]) => !isMet(figures)).map(([what]) => `${way}: ${what}`));
  }
  for (const what of missed) say(`MISSED: ${what}`);
  console.log(JSON.stringify({ ...result, missed }));
  if (missed.length > 0) process.exitCode = 1;
});
