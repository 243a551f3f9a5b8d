// Loaded into the platform that is watched (`--import`): each second a line of JSON of what only it knows about itself.
import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Milliseconds; what the histogram counts has them in it. */
const resolution = 2;
/** Seconds between two collections of everything: what is left after one is in use, or leaks. */
const collectEvery = 30;
const file = process.env.SUTAZ_SOAK_PROBE;

// What the platform starts inherits its environment: only the platform itself is watched.
if (file && process.argv[1]?.endsWith('src/cli.ts')) {
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc');
  let seconds = 0;
  setInterval(() => {
    const kinds = {};
    for (const kind of process.getActiveResourcesInfo()) kinds[kind] = (kinds[kind] ?? 0) + 1;
    const lagMs = delay.count === 0 ? 0 : Math.max(0, delay.percentile(99) / 1e6 - resolution);
    const look = { kinds, lagMs };
    if (++seconds % collectEvery === 0) {
      collect();
      const { heapUsed, rss } = process.memoryUsage();
      look.live = { seconds, heapBytes: heapUsed, residentBytes: rss };
    }
    // What collecting took is no fault of the platform.
    delay.reset();
    appendFileSync(file, `${JSON.stringify(look)}\n`);
  }, 1_000).unref();
}
