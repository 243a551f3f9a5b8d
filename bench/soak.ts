/** Whether the door's memory is flat: `npm run bench:soak -- --help`. */
import { mkdir } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { homeOf } from './_home.ts';
import { main, positive, readOptions } from './_options.ts';
import { residentKb, streams, wrk } from './door/measure.ts';
import { compile, startDoor } from './door/targets.ts';
import { watchLeaks } from './soak/leak.ts';

const about = `Sends requests through the door for as long as it takes, with a hundred streams now and then, and reads its resident memory and its
open files. Ends with 1 when the memory after all of them is more than a tenth above that after the first hundred thousand.

With --minutes it sends everything that clients do instead (requests, bodies, streams, streams that are left, WebSockets, wrong keys, a
model), at a steady pace, and reads the platform's handles and event loop each second, and its memory each time when everything was
collected, twice a minute (R29). Ends with 1 when memory grows by more than 1 MiB in 10 minutes after the first three tenths, when handles or files grow, when p99 of the event loop is above 20 ms in
the median second, or anything was answered wrong.

Examples:
  npm run bench:soak -- --requests 500000
  nice npm run bench:soak -- --minutes 30

The last line printed is the result as JSON.`;

const options = {
  requests: { value: 'N', help: 'in all (2000000)' },
  minutes: { value: 'N', help: 'of everything that clients do, instead' },
  home: { value: 'DIR', help: 'kept; without it a temporary one' },
  json: { help: 'nothing but the line of JSON' },
};

const markEvery = 100_000;
/** Seconds of each run of requests. */
const runSeconds = 5;
const goal = 1.1;

interface Mark {
  readonly requests: number;
  readonly residentKb: number;
  readonly files: number;
}

async function leaks(home: string, minutes: number, say: (text: string) => void): Promise<void> {
  const found = await watchLeaks(home, minutes, say);
  const [first, last] = found.residentMib;
  say(`${found.asked} asked, ${found.left} of them left, ${Object.keys(found.wrong).length} ways to be wrong`);
  const [before, after] = found.heapMib;
  say(
    `when all is collected, of the heap in use ${before.toFixed(1)} to ${after.toFixed(1)} MiB: ${found.heapSlope.toFixed(2)} in 10 minutes`,
  );
  say(`and resident ${first.toFixed(1)} to ${last.toFixed(1)} MiB: ${found.residentSlope.toFixed(2)} in 10 minutes`);
  say(
    `event loop p99 ${found.lagMs[0].toFixed(1)} ms in the median second, ${found.lagMs[1].toFixed(1)} ms in the worst hundredth`,
  );
  for (const what of found.missed) say(`MISSED: ${what}`);
  console.log(JSON.stringify(found));
  if (found.missed.length > 0) process.exitCode = 1;
}

await main(async () => {
  const given = readOptions('bench:soak', about, options);
  if (!given) return;
  const most = positive('--requests', given.one('requests') ?? '2000000');
  const home = await homeOf(given, 'soak');
  const say = (text: string) => void (given.has('json') || console.error(text));
  await mkdir(home, { recursive: true });
  const minutes = given.one('minutes');
  if (minutes !== undefined) return leaks(home, positive('--minutes', minutes), say);
  const programs = compile(home);
  const door = await startDoor(home, programs.mock);
  const marks: Mark[] = [];
  try {
    const { pid } = door;
    if (pid === null) throw new Error('The door has no process.');
    let sent = 0;
    while (sent < most) {
      const until = sent + markEvery;
      while (sent < until) sent += (await wrk(door, 32, runSeconds, home)).requests;
      await streams(door, { home, streams: programs.streams });
      const mark = { requests: sent, residentKb: residentKb(pid), files: readdirSync(`/proc/${pid}/fd`).length };
      marks.push(mark);
      say(`${sent} requests: ${(mark.residentKb / 1024).toFixed(0)} MiB resident, ${mark.files} open files`);
    }
  } finally {
    await door.stop();
  }
  const [first, last] = [marks[0], marks.at(-1)];
  const ratio = first && last ? last.residentKb / first.residentKb : NaN;
  const isMet = ratio <= goal;
  say(`last / first ${ratio.toFixed(2)} (goal at most ${goal}: ${isMet ? 'met' : 'MISSED'})`);
  console.log(JSON.stringify({ marks, ratio, isMet }));
  if (!isMet) process.exitCode = 1;
});
