/**
 * How long a frozen service takes to answer: from the request to the first byte through the door, for a Node service that
 * holds 300 MB and froze when it was left alone.
 *
 *   node --conditions=source bench/freezing.ts [--rounds 25] [--hold 300] [--json]
 *
 * Beside it, in the same rounds: the same request while the service is awake, and the floor, which is SIGCONT and a
 * request straight to the service with no platform between. Prints a table, or with --json one line.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { holderService } from '../test/fixtures/holders.ts';
import { startPlatform } from '../test/_platform.ts';
import type { TestPlatform } from '../test/_platform.ts';
import { isFrozen, setFrozen, until } from '../test/_processes.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '25' },
    hold: { type: 'string', default: '300' },
    json: { type: 'boolean', default: false },
  },
});

interface Answer {
  /** Milliseconds to the first byte of the body. */
  readonly ms: number;
  /** What the platform says of it, by name: `queue`, `wake`, `upstream`. */
  readonly timing: Readonly<Record<string, number>>;
}

const none: Answer['timing'] = {};

/** A connection of its own each time: what is measured is not how it was kept. */
function ask(port: number, path: string, key?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
    const began = performance.now();
    const req = request({ host: '127.0.0.1', port, path, headers, agent: false }, (res) => {
      let ms = NaN;
      res.once('data', () => (ms = performance.now() - began));
      res.resume();
      res.once('error', reject);
      res.once('end', () => {
        if (res.statusCode !== 200) return reject(new Error(`${path} answers ${res.statusCode}`));
        const parts = String(res.headers['server-timing'] ?? '').matchAll(/(\w+);dur=([\d.]+)/g);
        const timing = Object.fromEntries([...parts].map(([, name = '', dur]) => [name, Number(dur)]));
        resolve({ ms, timing: key === undefined ? none : timing });
      });
    });
    req.once('error', reject);
    req.end();
  });
}

interface Round {
  readonly awake: Answer;
  readonly thawed: Answer;
  readonly floor: Answer;
}

/** One after the other: frozen and asked through the door, awake, frozen and continued by hand. */
async function round(platform: TestPlatform, path: string): Promise<Round> {
  const { pid, port } = await frozen(platform);
  const thawed = await ask(platform.port, `/services/frost${path}`, platform.key);
  const awake = await ask(platform.port, `/services/frost${path}`, platform.key);
  await frozen(platform);
  setFrozen(pid, false);
  const floor = await ask(port, path);
  // As the platform left it: what it counts as frozen is.
  setFrozen(pid, true);
  return { awake, thawed, floor };
}

async function frozen(platform: TestPlatform): Promise<{ readonly pid: number; readonly port: number }> {
  const { pid, port } = (await platform.untilState('frost', 'frozen')).instance ?? {};
  if (!pid || !port) throw new Error('A frozen service has no process.');
  await until(() => isFrozen(pid), 'the process to be frozen');
  return { pid, port };
}

const quantile = (numbers: readonly number[], q: number): number =>
  [...numbers].sort((a, b) => a - b)[Math.round(q * (numbers.length - 1))] ?? NaN;
const tenths = (ms: number): number => Math.round(ms * 10) / 10;

function summary(rounds: readonly Round[]) {
  const of = (pick: (round: Round) => number) => {
    const numbers = rounds.map(pick);
    return {
      p50: tenths(quantile(numbers, 0.5)),
      p90: tenths(quantile(numbers, 0.9)),
      max: tenths(Math.max(...numbers)),
    };
  };
  return {
    rounds: rounds.length,
    thawToFirstByteMs: of(({ thawed }) => thawed.ms),
    ofThatWakeMs: of(({ thawed }) => thawed.timing.wake ?? NaN),
    ofThatUpstreamMs: of(({ thawed }) => thawed.timing.upstream ?? NaN),
    awakeMs: of(({ awake }) => awake.ms),
    floorMs: of(({ floor }) => floor.ms),
  };
}

function print(result: ReturnType<typeof summary>): void {
  if (values.json) return console.log(JSON.stringify(result));
  const { rounds, ...rows } = result;
  const names: Readonly<Record<keyof typeof rows, string>> = {
    thawToFirstByteMs: 'frozen, through the door (goal: 20 ms)',
    ofThatWakeMs: 'of that until it was thawed (Server-Timing: wake)',
    ofThatUpstreamMs: 'of that until it answered (Server-Timing: upstream)',
    awakeMs: 'awake, through the door',
    floorMs: 'frozen, thawed by hand and asked directly',
  };
  console.log(`First byte of a service that holds ${values.hold} MB, ${rounds} rounds, milliseconds:\n`);
  console.log('| | p50 | p90 | max |\n| --- | --- | --- | --- |');
  for (const [name, { p50, p90, max }] of Object.entries(rows)) {
    console.log(`| ${names[name as keyof typeof rows]} | ${p50} | ${p90} | ${max} |`);
  }
}

const home = await mkdtemp(join(tmpdir(), 'sutaz-freezing-'));
let platform: TestPlatform | undefined;
try {
  const frost = holderService({
    ...{ id: 'frost', memory: `${Number(values.hold) + 100}MiB`, flags: ['--hold', values.hold] },
    idle: { after: '200ms', rung: 'frozen' },
  });
  platform = await startPlatform({
    home,
    memory: `${Number(values.hold) + 300}MiB`,
    catalog: { 'services/frost.yaml': frost },
  });
  await ask(platform.port, '/services/frost/hold', platform.key);
  const rounds: Round[] = [];
  for (let i = 0; i < Number(values.rounds) + 1; i++) rounds.push(await round(platform, '/work?ms=0&bytes=100'));
  // The first loads code that the others find in place.
  print(summary(rounds.slice(1)));
} finally {
  await platform?.stop();
  await rm(home, { recursive: true, force: true });
}
