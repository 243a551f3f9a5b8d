/**
 * Many services under a limit that fits few, as real processes that really hold their memory: definitions, a platform and
 * an open-loop load made from a seed; the memory of all processes looked at twice a second.
 *
 *   npm run bench:density -- [--minutes 10] [--services 45] [--limit 2GiB] [--seed 1] [--json]
 *   npm run bench:density -- --always-on      what the same load needs without a platform; computed, nothing is run
 *
 * Each service holds 150 to 400 MB and takes 200 to 2,500 ms to start. Requests come every 0.5 to 4 s, 1.5 s on average,
 * popular ones more often (Zipf) and each service at least once where there are enough; they take 50 to 1,500 ms, one in
 * twelve 10 s. Prints a table and one line of JSON, with --json only that; how it goes every 10 s on stderr. Ends with 1
 * when a promise is broken: every request answered whole, no kill, never more used than the limit for longer than the step
 * between two looks, nothing left behind.
 */
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { formatBytes, parseBytes } from '#kernel/quantities';
import { startPlatform } from '../test/_platform.ts';
import type { TestPlatform } from '../test/_platform.ts';
import { processesOf } from '../test/fixtures/holders.ts';
import { drive } from './density/load.ts';
import type { Load } from './density/load.ts';
import { alwaysOn, definitions, makePlan } from './density/plan.ts';
import type { Plan } from './density/plan.ts';
import { brokenPromises, result, table } from './density/report.ts';
import type { Facts } from './density/report.ts';
import { kernelKills, watch } from './density/watch.ts';
import type { Watch } from './density/watch.ts';

const stepMs = 500;
const progressMs = 10_000;
const clientTimeoutMs = 120_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    services: { type: 'string', default: '45' },
    limit: { type: 'string', default: '2GiB' },
    seed: { type: 'string', default: '1' },
    json: { type: 'boolean', default: false },
    'always-on': { type: 'boolean', default: false },
  },
});

const limitBytes = parseBytes(values.limit);
if (limitBytes === null) throw new Error(`--limit ${values.limit} is not a size. Write it as 2GiB.`);
const limit: number = limitBytes;

const plan = makePlan({
  seed: Number(values.seed),
  count: Number(values.services),
  ms: Number(values.minutes) * 60_000,
});

function progress(load: Load, { samples, counts }: Watch): void {
  const { at = 0, pssBytes = 0, reservedBytes = 0, states = {} } = samples.at(-1) ?? {};
  const bad = load.outcomes.filter(({ kind }) => kind !== 'whole').length;
  const said = [
    `${Math.round(at / 1000)} s`,
    `${load.outcomes.length} of ${load.sent()} answered`,
    ...(bad > 0 ? [`${bad} NOT WHOLE`] : []),
    `${formatBytes(pssBytes)} used, ${formatBytes(reservedBytes)} reserved of ${formatBytes(limit)}`,
    `${counts.get('start') ?? 0} starts, ${counts.get('evict') ?? 0} evictions, ${counts.get('thaw') ?? 0} thaws`,
    Object.entries(states)
      .map(([state, count]) => `${count} ${state}`)
      .join(', '),
  ];
  process.stderr.write(`${said.join(' | ')}\n`);
}

/** Drives the load and looks on; ends early, in good order, when it is interrupted. */
async function run(platform: TestPlatform, { arrivals }: Plan): Promise<Pick<Facts, 'outcomes'> & { watched: Watch }> {
  const watched = watch(platform, stepMs);
  const load = drive(arrivals, platform, clientTimeoutMs);
  process.once('SIGINT', load.stop);
  const timer = setInterval(() => progress(load, watched), progressMs);
  try {
    await load.done;
  } finally {
    clearInterval(timer);
    process.off('SIGINT', load.stop);
    await watched.stop();
  }
  return { outcomes: load.outcomes, watched };
}

/** Stops the platform and says what is still there. */
async function leftAfter(platform: TestPlatform): Promise<string[]> {
  const code = await platform.stop();
  return [
    ...(code === 0 ? [] : [`the platform ended with ${code}`]),
    ...processesOf(platform.home).map(({ pid, service }) => `process ${pid} of ${service}`),
    ...(existsSync(join(platform.home, 'platform.json')) ? ['platform.json, which says that it runs'] : []),
    ...((await isOpen(platform.port)) ? [`port ${platform.port} is open`] : []),
  ];
}

const isOpen = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect({ host: '127.0.0.1', port });
    socket.once('connect', () => (socket.destroy(), resolve(true)));
    socket.once('error', () => resolve(false));
  });

/** Kills since `before`, as far as they can be read: in our cgroup, else on the whole machine. */
function killsSince(before: ReturnType<typeof kernelKills>): number | null {
  const now = kernelKills();
  const since = (key: 'cgroup' | 'machine') => {
    const [then, count] = [before[key], now[key]];
    return then === null || count === null ? null : count - then;
  };
  const [cgroup, machine] = [since('cgroup'), since('machine')];
  return cgroup === null && machine === null ? null : Math.max(cgroup ?? 0, machine ?? 0);
}

async function bench(): Promise<void> {
  const home = await mkdtemp(join(tmpdir(), 'sutaz-density-'));
  let platform: TestPlatform | undefined;
  try {
    const before = kernelKills();
    platform = await startPlatform({ home, memory: values.limit, catalog: definitions(plan) });
    const { outcomes, watched } = await run(platform, plan);
    const facts: Facts = {
      ...{ limitBytes: limit, outcomes },
      ...{ samples: watched.samples, counts: watched.counts, unasked: watched.unasked },
      left: await leftAfter(platform),
      kernelKills: killsSince(before),
      alwaysOn: alwaysOn(plan, limit),
    };
    const found = result(facts);
    const broken = brokenPromises(found, facts);
    const { minutes, services, seed } = values;
    if (!values.json) console.log(`${services} services, ${minutes} minutes, seed ${seed}\n\n${table(found)}\n`);
    for (const promise of broken) process.stderr.write(`BROKEN: ${promise}\n`);
    const asked = { minutes: Number(minutes), services: Number(services), seed: Number(seed) };
    console.log(JSON.stringify({ ...asked, ...found, promisesKept: broken.length === 0 }));
    if (broken.length > 0) process.exitCode = 1;
  } finally {
    await platform?.stop();
    await rm(home, { recursive: true, force: true });
  }
}

if (values['always-on']) console.log(JSON.stringify(alwaysOn(plan, limit)));
else await bench();
