import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { echoService, root, startPlatform } from '../test/_platform.ts';
import type { TestPlatform } from '../test/_platform.ts';

/**
 * What speaking TLS costs the platform's own process, and what is left of it there where workers speak it: that process is the one
 * which cannot be had twice. Needs `wrk`. Both platforms run at once and are asked in turn, round by round.
 */

/** Linux counts in hundredths of a second. */
const tickUs = 10_000;
const seconds = 4;
const rounds = 3;

interface Cost {
  readonly requests: number;
  readonly ownUs: number;
  readonly workersUs: number;
}

function cpuUs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickUs;
}

const workersOf = (pid: number): number[] =>
  readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((one) => {
      try {
        const command = readFileSync(`/proc/${one}/cmdline`, 'latin1');
        return command.includes('workers/worker.') && readFileSync(`/proc/${one}/stat`, 'latin1').includes(` ${pid} `);
      } catch {
        return false;
      }
    });

const cases: Readonly<Record<string, readonly string[]>> = {
  'a new connection each time': ['-c16', '-H', 'Connection: close', 'PATH/healthz'],
  'kept connections': ['-c16', 'PATH/services/echo/x'],
  'streams of 200 events': ['-c16', 'PATH/services/echo/sse?count=200&every=0'],
  'streams of 1,000 events': ['-c16', 'PATH/services/echo/sse?count=1000&every=0'],
};

async function run(platform: TestPlatform, options: readonly string[], scheme: string): Promise<Cost> {
  const workers = workersOf(platform.pid);
  const sum = () => workers.reduce((all, pid) => all + cpuUs(pid), 0);
  const [own, others] = [cpuUs(platform.pid), sum()];
  const args = options.map((one) => one.replace('PATH', `${scheme}://127.0.0.1:${platform.port}`));
  const { stdout } = await promisify(execFile)('wrk', [
    ...['-t1', `-d${seconds}s`, '-H', `Authorization: Bearer ${platform.key}`],
    ...args,
  ]);
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  const bad = /Non-2xx.*|Socket errors.*/.exec(stdout)?.[0];
  if (bad) console.error(bad);
  return { requests, ownUs: (cpuUs(platform.pid) - own) / requests, workersUs: (sum() - others) / requests };
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] ?? NaN;

async function open(folder: string, workers: number): Promise<TestPlatform> {
  const catalog = { 'services/echo.yaml': echoService('echo', { dir: `${root}test` }) };
  const home = join(folder, String(workers));
  return startPlatform({ home, catalog, config: `listen: { tls: auto, workers: ${workers} }\n` });
}

const folder = await mkdtemp(join(tmpdir(), 'sutaz-bench-'));
const [one, two] = [await open(folder, 1), await open(folder, 2)];
const ways = [
  { label: 'HTTP', platform: one, scheme: 'http' },
  { label: 'HTTP, 2 workers', platform: two, scheme: 'http' },
  { label: 'TLS', platform: one, scheme: 'https' },
  { label: 'TLS, 2 workers', platform: two, scheme: 'https' },
];
try {
  for (const [name, options] of Object.entries(cases)) {
    const found: Cost[][] = [];
    for (let round = 0; round < rounds; round++) {
      const costs: Cost[] = [];
      for (const { platform, scheme } of ways) costs.push(await run(platform, options, scheme));
      found.push(costs);
    }
    const of = (i: number, key: keyof Cost) => median(found.map((costs) => costs[i]?.[key] ?? NaN));
    console.log(name);
    for (const [i, { label }] of ways.entries()) {
      const ratio = (of(i, 'ownUs') / of(i - (i % 2), 'ownUs')).toFixed(2);
      const rest = `workers ${of(i, 'workersUs').toFixed(0)} us, ${(of(i, 'requests') / seconds).toFixed(0)}/s`;
      console.log(
        `  ${label.padEnd(16)} own ${of(i, 'ownUs').toFixed(0)} us, of that without workers ${ratio}, ${rest}`,
      );
    }
  }
} finally {
  await Promise.all([one.stop(), two.stop()]);
  await rm(folder, { recursive: true, force: true });
}
