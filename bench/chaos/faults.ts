import type { ApiMadeKey } from '#contracts/security-api';
import { pause } from '../reliability/asking.ts';
import type { World } from './world.ts';

/** What was done, how often, and what the platform said yes to. */
export interface Done {
  readonly counts: Map<string, number>;
  /** Keys that it said were made. */
  readonly keys: string[];
  /** Times at which there was no platform, in `performance.now()`. */
  readonly outages: { readonly from: number; until: number }[];
}

type Misfortune = (world: World, done: Done, random: () => number) => Promise<void>;

const reloads = async (world: World, text: string): Promise<void> => {
  await world.configure(text);
  // A reload that ends it is seen here and not only at the next request.
  const { status } = await world.platform().fetch('/readyz');
  if (status >= 500 && status !== 503) throw new Error(`/readyz answers ${status} after a reload.`);
};

const misfortunes: Readonly<Record<string, { readonly weight: number; readonly happens: Misfortune }>> = {
  'a replica is killed and comes back': {
    weight: 3,
    async happens({ replicas }, _, random) {
      const replica = replicas[Math.floor(random() * replicas.length)];
      await replica?.kill();
      await pause(500 + 1_500 * random());
      await replica?.start();
    },
  },
  'a service is killed': {
    weight: 2,
    async happens(world) {
      const { instance } = await world.platform().unit('echo');
      if (instance?.pid) process.kill(instance.pid, 'SIGKILL');
    },
  },
  'the configuration changes': {
    weight: 4,
    happens: (world, _, random) => reloads(world, `limits: { body: ${1 + Math.floor(100 * random())}KiB }\n`),
  },
  'the configuration is wrong': {
    weight: 2,
    happens: (world) => reloads(world, 'limits: { bdy: 1KiB }\n'),
  },
  'a key is made': {
    weight: 6,
    async happens(world, { keys }) {
      const body = JSON.stringify({ name: `key ${keys.length}`, scopes: ['state:read'] });
      const headers = { 'content-type': 'application/json' };
      const made = await world.platform().fetch('/sutaz/v1/keys', { method: 'POST', body, headers });
      if (made.status !== 201) throw new Error(`A key is answered with ${made.status}: ${await made.text()}`);
      keys.push(((await made.json()) as ApiMadeKey).key);
    },
  },
  'the platform is killed': {
    weight: 1,
    async happens(world, { outages }) {
      const outage = { from: performance.now(), until: Infinity };
      outages.push(outage);
      await world.restart();
      outage.until = performance.now();
    },
  },
};

function drawn(random: () => number): string {
  const all = Object.entries(misfortunes);
  let left = random() * all.reduce((sum, [, { weight }]) => sum + weight, 0);
  return (all.find(([, { weight }]) => (left -= weight) < 0) ?? all[0])?.[0] ?? '';
}

/** One misfortune after the other, as the seed has them, for so long. Rejects when the platform answers one as it must not. */
export async function befall(world: World, ms: number, random: () => number): Promise<Done> {
  const done: Done = { counts: new Map(), keys: [], outages: [] };
  const until = performance.now() + ms;
  while (performance.now() < until) {
    const name = drawn(random);
    await misfortunes[name]?.happens(world, done, random);
    done.counts.set(name, (done.counts.get(name) ?? 0) + 1);
    await pause(200 + 1_800 * random());
  }
  return done;
}
