/** R22 key-flood: what a flood of wrong keys costs those with a right one: `npm run bench:key-flood -- --help`. */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { promisify } from 'node:util';
import { definitionOf } from '../test/reliability/_upstream.ts';
import { root, startPlatform } from '../test/_platform.ts';
import { homeOf } from './_home.ts';
import { main, median, positive, readOptions } from './_options.ts';
import { cpuOf, residentKb } from './door/measure.ts';
import { atRate, createClient } from './reliability/asking.ts';
import type { Answer, Client } from './reliability/asking.ts';
import { quantile } from './reliability/series.ts';

const about = `Asks a service two hundred times a second with a right key, and in every other round somebody asks for it with five thousand wrong
keys a second from a hundred addresses. Ends with 1 when one of those reaches the service, a right key is kept out, the memory after
the last round is more than a tenth above that after the first, or p99 in a round with a flood is more than a quarter above that of
the round before it (the median of the rounds).

Example:
  npm run bench:key-flood -- --rounds 3 --seconds 5

The last line printed is the result as JSON.`;

const options = {
  rounds: { value: 'N', help: 'pairs of rounds, after one that is not counted (5)' },
  seconds: { value: 'N', help: 'of each round (10)' },
  flood: { value: 'N', help: 'wrong keys a second (5000)' },
  home: { value: 'DIR', help: 'kept; without it a temporary one' },
  json: { help: 'nothing but the line of JSON' },
};

const goodPerSecond = 200;
const path = '/services/raw/hit';

interface Flood {
  readonly asked: number;
  readonly answered: number;
  readonly statuses: Readonly<Record<string, number>>;
}

interface Pair {
  /** Milliseconds, of those with a right key. */
  readonly quietP99: number;
  readonly floodP99: number;
  readonly keptOut: number;
  /** Microseconds of the processor for each wrong key: less disturbed by what else the machine does. */
  readonly cpuUs: number;
  readonly flood: Flood;
  readonly residentKb: number;
}

/** Counts whom it sees; the flood marks its requests. */
async function upstream() {
  const seen = { all: 0, flood: 0 };
  const server = createServer(({ headers }, res) => {
    seen.all++;
    if (headers['x-flood']) seen.flood++;
    res.end('hit');
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { seen, server, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function flood(port: number, perSecond: number, seconds: number): Promise<Flood> {
  const argv = [`${root}bench/reliability/flood.ts`, ...[port, perSecond, seconds].map(String), path];
  const { stdout } = await promisify(execFile)(process.execPath, argv);
  return JSON.parse(stdout) as Flood;
}

const p99 = (answers: readonly Answer[]): number =>
  quantile(
    answers.map(({ ms }) => ms),
    0.99,
  );
const refused = (answers: readonly Answer[]): number => answers.filter(({ status }) => status !== 200).length;

async function pair(
  client: Client,
  platform: { readonly port: number; readonly pid: number },
  { perSecond, seconds }: { readonly perSecond: number; readonly seconds: number },
): Promise<Pair> {
  const good = () => atRate(goodPerSecond, seconds * 1_000, () => client.ask(path));
  const marks = [cpuOf(platform.pid)];
  const quiet = await good();
  marks.push(cpuOf(platform.pid));
  const [flooded, flooding] = await Promise.all([good(), flood(platform.port, perSecond, seconds)]);
  const [start = 0, middle = 0] = marks;
  const addedNs = cpuOf(platform.pid) - middle - (middle - start);
  return {
    cpuUs: addedNs / 1e3 / flooding.answered,
    ...{ quietP99: p99(quiet), floodP99: p99(flooded), keptOut: refused(quiet) + refused(flooded) },
    ...{ flood: flooding, residentKb: residentKb(platform.pid) },
  };
}

function told({ quietP99, floodP99, cpuUs, flood: { answered }, residentKb: kb }: Pair): string {
  const beside = `beside ${answered} wrong keys ${floodP99.toFixed(1)} ms (${cpuUs.toFixed(0)} us of the processor each)`;
  return `p99 ${quietP99.toFixed(1)} ms, ${beside}; ${(kb / 1024).toFixed(0)} MiB resident`;
}

function verdict(pairs: readonly Pair[], reached: number) {
  const [first, last] = [pairs[0], pairs.at(-1)];
  const slower = median(pairs.map(({ quietP99, floodP99 }) => floodP99 / quietP99));
  const memory = (last?.residentKb ?? NaN) / (first?.residentKb ?? NaN);
  const keptOut = pairs.reduce((sum, one) => sum + one.keptOut, 0);
  const taken = pairs.flatMap(({ flood: { statuses } }) =>
    Object.keys(statuses).filter((status) => !['401', '429'].includes(status)),
  );
  const missed = [
    ...(reached > 0 ? [`${reached} wrong keys reached the service`] : []),
    ...(taken.length > 0 ? [`wrong keys were answered with ${taken.join(', ')}`] : []),
    ...(keptOut > 0 ? [`${keptOut} with a right key were not answered`] : []),
    ...(memory <= 1.1 ? [] : ['the memory grew by more than a tenth']),
    ...(slower <= 1.25 ? [] : ['p99 grew by more than a quarter']),
  ];
  return { slower, memory, keptOut, reached, missed };
}

await main(async () => {
  const given = readOptions('bench:key-flood', about, options);
  if (!given) return;
  const number = (name: string, otherwise: string) => positive(`--${name}`, given.one(name) ?? otherwise);
  const say = (text: string) => void (given.has('json') || console.error(text));
  const asked = { perSecond: number('flood', '5000'), seconds: number('seconds', '10') };
  const { seen, server, url } = await upstream();
  const catalog = { 'services/raw.yaml': definitionOf('raw', url) };
  const platform = await startPlatform({ home: await homeOf(given, 'flood'), catalog });
  const client = createClient(platform, 16);
  const pairs: Pair[] = [];
  try {
    await pair(client, platform, asked);
    for (let i = 0; i < number('rounds', '5'); i++) {
      const one = await pair(client, platform, asked);
      pairs.push(one);
      say(told(one));
    }
  } finally {
    client.close();
    await platform.stop();
    server.close();
  }
  const result = verdict(pairs, seen.flood);
  for (const what of result.missed) say(`MISSED: ${what}`);
  console.log(JSON.stringify({ pairs, ...result }));
  if (result.missed.length > 0) process.exitCode = 1;
});
