/** What the door costs beside nginx: `npm run bench:door -- --help`. */
import { mkdir } from 'node:fs/promises';
import { cpus } from 'node:os';
import { homeOf } from './_home.ts';
import { main, named, positive, readOptions } from './_options.ts';
import { latency, memory, streams, throughput } from './door/measure.ts';
import { goalsOf, print } from './door/report.ts';
import type { Figures } from './door/report.ts';
import { compile, direct, startDoor, startHit, startNginx, startPortkey, startStatic } from './door/targets.ts';
import type { Place, Target } from './door/targets.ts';

const about = `Puts the door, nginx, Portkey and a server of Node's that always says the same in front of one upstream, and asks each in
turn: with 32 connections, with one, and for a hundred streams at once; and a door that keeps answers, for one that it has kept.
What is measured runs on core 0, the rest on core 1.
Needs gcc, nginx and wrk; Portkey comes from npm. Read the ratios and the processor time: the rest shows the machine's other work.

Example:
  npm run bench:door -- --rounds 3 --only door,nginx

The last line printed is the result as JSON.`;

const starts: Readonly<Record<string, (place: Place) => Promise<Target>>> = {
  nginx: startNginx,
  static: startStatic,
  hit: startHit,
  portkey: startPortkey,
};
const warmSeconds = 10;
const names = ['door', ...Object.keys(starts)];

const options = {
  rounds: { value: 'N', help: 'the middle one of which counts (5)' },
  seconds: { value: 'S', help: 'of each run of requests (3)' },
  only: { value: 'NAME,...', help: names.join(', ') },
  home: { value: 'DIR', help: 'kept, with what was installed into it; without it a temporary one' },
  json: { help: 'nothing but the line of JSON' },
};

async function round(targets: readonly Target[], tools: { home: string; streams: string }, seconds: number) {
  const figures: Record<string, Figures> = {};
  for (const target of targets) {
    const isProxy = ['door', 'nginx'].includes(target.name);
    figures[target.name] = {
      ...(await throughput(target, tools, seconds)),
      ...(await latency(target, tools, seconds)),
      ...(isProxy ? await streams(target, tools) : {}),
    };
  }
  return figures;
}

await main(async () => {
  const given = readOptions('bench:door', about, options);
  if (!given) return;
  const only = given.list('only', names);
  for (const name of only) named('target', name, Object.fromEntries(names.map((one) => [one, true])));
  const rounds = positive('--rounds', given.one('rounds') ?? '5');
  const seconds = positive('--seconds', given.one('seconds') ?? '3');
  const home = await homeOf(given, 'door');
  const say = (text: string) => void (given.has('json') || console.error(text));
  await mkdir(home, { recursive: true });
  const programs = compile(home);
  const door = await startDoor(home, programs.mock);
  const place = { home, mock: door.mockPort };
  const targets: Target[] = [direct(place), ...(only.includes('door') ? [door] : [])];
  try {
    for (const name of only) {
      const start = starts[name];
      if (start) targets.push(await start(place));
    }
    const tools = { home, streams: programs.streams };
    // What is compiled as it runs needs some ten thousand requests before it runs as it will.
    for (const target of targets) await throughput(target, tools, warmSeconds);
    await round(targets, tools, 1);
    const all: Record<string, Figures>[] = [];
    for (let i = 1; i <= rounds; i++) {
      all.push(await round(targets, tools, seconds));
      say(`round ${i} of ${rounds}`);
    }
    const memories: Record<string, number> = {};
    for (const target of targets) {
      if (['door', 'nginx'].includes(target.name)) memories[target.name] = await memory(target, tools);
    }
    const goals = goalsOf(all, memories);
    if (!given.has('json')) print(all, memories, goals);
    console.log(JSON.stringify({ machine: cpus()[0]?.model, node: process.version, rounds: all, memories, goals }));
  } finally {
    for (const target of targets) await target.stop();
    if (!targets.includes(door)) await door.stop();
  }
});
