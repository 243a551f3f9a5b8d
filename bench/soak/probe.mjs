// Loaded into the platform that is watched (`--import`): each second a line of JSON of what only it knows about itself.
import { appendFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Milliseconds; what the histogram counts has them in it. */
const resolution = 2;
const file = process.env.SUTAZ_SOAK_PROBE;

// What the platform starts inherits its environment: only the platform itself is watched.
if (file && process.argv[1]?.endsWith('src/cli.ts')) {
  const delay = monitorEventLoopDelay({ resolution });
  delay.enable();
  setInterval(() => {
    const kinds = {};
    for (const kind of process.getActiveResourcesInfo()) kinds[kind] = (kinds[kind] ?? 0) + 1;
    const lagMs = delay.count === 0 ? 0 : Math.max(0, delay.percentile(99) / 1e6 - resolution);
    delay.reset();
    appendFileSync(file, `${JSON.stringify({ kinds, lagMs, heapBytes: process.memoryUsage().heapUsed })}\n`);
  }, 1_000).unref();
}
