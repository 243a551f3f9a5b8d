/** R30 chaos mix: whatever goes wrong, all at once: `npm run bench:chaos -- --help`. */
import { mulberry32 } from '#simulator/random';
import { until } from '../test/_processes.ts';
import { processesOf } from '../test/fixtures/holders.ts';
import { homeOf } from './_home.ts';
import { main, positive, readOptions, wholeNumber } from './_options.ts';
import { askAny } from './chaos/asked.ts';
import type { Ended } from './chaos/asked.ts';
import { befall } from './chaos/faults.ts';
import type { Done } from './chaos/faults.ts';
import { openWorld } from './chaos/world.ts';
import type { World } from './chaos/world.ts';
import { atRate } from './reliability/asking.ts';

const about = `Asks forty times a second for a service of the platform's own, one at three places, and one that answers as none may, and
leaves streams in their middle. Meanwhile replicas, services and the platform itself are killed, the configuration changes and is wrong,
and keys are made, at random by a seed. Ends with 1 when a request has no end, is refused or broken off by a platform that nobody
killed, or is answered with 500; when a key that was made is not there; when something is left over.

Example:
  npm run bench:chaos -- --minutes 10 --seed 7

The last line printed is the result as JSON.`;

const options = {
  minutes: { value: 'N', help: 'of it (10)' },
  seed: { value: 'N', help: 'of what happens when (1)' },
  home: { value: 'DIR', help: 'kept; without it a temporary one' },
  json: { help: 'nothing but the line of JSON' },
};

const perSecond = 40;

/** Whether the platform was killed while it was asked, or had not come back. */
const wasOut = ({ at, ms }: Ended, { outages }: Done): boolean =>
  outages.some(({ from, until: end }) => at <= end && at + ms >= from);

/** What breaks off because its upstream does, or is killed while it speaks, is broken off for its client as it should be. */
const mayBreak = ({ path }: Ended): boolean => /^\/services\/(raw|echo)\//.test(path);

function wrongs(ended: readonly Ended[], done: Done): string[] {
  const isWrong = (one: Ended) =>
    one.how === 'hung' ||
    one.status === 500 ||
    (one.how === 'unanswered' && !wasOut(one, done)) ||
    (one.how === 'broken' && !mayBreak(one) && !wasOut(one, done)) ||
    (one.path === '/services/many/' && one.status !== 200 && !wasOut(one, done));
  return ended
    .filter(isWrong)
    .map(({ path, how, status, ms }) => `${path}: ${how} (${status}) after ${ms.toFixed(0)} ms`);
}

/** Keys that the platform said were made, and that it does not know. */
async function lost(world: World, { keys }: Done): Promise<number> {
  const known = await Promise.all(
    keys.map(async (key) => {
      const headers = { authorization: `Bearer ${key}` };
      return (await world.platform().fetch('/sutaz/v1/state', { headers })).status === 200;
    }),
  );
  return known.filter((isKnown) => !isKnown).length;
}

/** Leases that nobody holds any more, and processes after the end. */
async function leftOver(world: World): Promise<string[]> {
  const names = ['echo', 'many', 'raw'];
  const held = async () => {
    const units = await Promise.all(names.map((name) => world.platform().unit(name)));
    return units.filter(({ leases }) => leases > 0).map(({ id, leases }) => `${leases} leases of ${id}`);
  };
  await until(async () => (await held()).length === 0, 'the leases', 15_000).catch(() => undefined);
  const left = await held();
  const code = await world.end();
  return [
    ...left,
    ...(code === 0 ? [] : [`the platform ended with ${code}`]),
    ...processesOf(world.home).map(({ pid, service }) => `process ${pid} of ${service}`),
  ];
}

function counted(ended: readonly Ended[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { how, status } of ended) {
    const key = how === 'answered' ? String(status) : how;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

await main(async () => {
  const given = readOptions('bench:chaos', about, options);
  if (!given) return;
  const ms = positive('--minutes', given.one('minutes') ?? '10') * 60_000;
  const seed = wholeNumber('--seed', given.one('seed') ?? '1');
  const say = (text: string) => void (given.has('json') || console.error(text));
  const world = await openWorld(await homeOf(given, 'chaos'));
  const at = { port: world.port, key: world.platform().key };
  const random = mulberry32(seed);
  const [ended, done] = await Promise.all([
    atRate(perSecond, ms, () => askAny(at, random)),
    befall(world, ms, mulberry32(seed + 1)),
  ]).catch(async (error: unknown) => {
    await world.end();
    throw error;
  });
  const broken = [
    ...new Set(wrongs(ended, done)),
    ...(await lost(world, done).then((count) => (count === 0 ? [] : [`${count} keys were lost`]))),
    ...(await leftOver(world)),
  ];
  const result = { asked: ended.length, ended: counted(ended), happened: Object.fromEntries(done.counts), broken };
  say(`${ended.length} asked: ${JSON.stringify(result.ended)}`);
  for (const [what, count] of done.counts) say(`${count} times ${what}`);
  say(
    `${done.keys.length} keys made, all of them there: ${String(!broken.some((what) => what.includes('keys were lost')))}`,
  );
  for (const what of broken) say(`BROKEN: ${what}`);
  console.log(JSON.stringify({ seed, minutes: ms / 60_000, ...result }));
  if (broken.length > 0) process.exitCode = 1;
});
