import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { onCore } from './targets.ts';
import type { Target } from './targets.ts';

const run = promisify(execFile);

export interface Tools {
  readonly home: string;
  readonly streams: string;
}

/** Nanoseconds that all threads of a process have run. */
export function cpuOf(pid: number | null): number {
  if (pid === null) return 0;
  const tasks = readdirSync(`/proc/${pid}/task`);
  return tasks.reduce(
    (sum, task) => sum + Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]),
    0,
  );
}

export const residentKb = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

/** About 330 bytes, as performance comparisons of gateways take them. */
const question = {
  model: 'mock-model',
  messages: [
    { role: 'system', content: 'You are a helpful assistant that answers in one short paragraph, without lists.' },
    {
      role: 'user',
      content: 'What does a quick brown fox jump over, and why is that told so often of foxes and dogs?',
    },
  ],
  temperature: 0.2,
  max_tokens: 64,
};

const lua = ({ key, headers }: Target, body: string): string =>
  [
    `wrk.method = "POST"; wrk.body = [==[${body}]==]`,
    ...Object.entries({ 'Content-Type': 'application/json', Authorization: `Bearer ${key}`, ...headers }).map(
      ([name, value]) => `wrk.headers["${name}"] = "${value}"`,
    ),
  ].join('\n');

interface Wrk {
  readonly requests: number;
  readonly perSecond: number;
  /** Microseconds. */
  readonly p50: number;
  readonly p99: number;
}

export async function wrk(target: Target, connections: number, seconds: number, home: string): Promise<Wrk> {
  const script = join(home, `${target.name}.lua`);
  await writeFile(script, lua(target, JSON.stringify({ ...question, ...target.more })));
  const url = `http://127.0.0.1:${target.port}/v1/chat/completions`;
  const argv = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', script, url];
  const { stdout } = await run(...onCore(1, 'wrk', ...argv));
  const failed = /Non-2xx.*: (\d+)|Socket errors: (.*)/.exec(stdout);
  if (failed) throw new Error(`${target.name}: ${failed[0]}`);
  const number = (pattern: RegExp) => Number(pattern.exec(stdout)?.[1]);
  const micros = (percent: number) => {
    const [, value, unit = 'us'] = new RegExp(`${percent}%\\s+([\\d.]+)(us|ms|s)`).exec(stdout) ?? [];
    return Number(value) * ({ us: 1, ms: 1e3, s: 1e6 }[unit] ?? NaN);
  };
  return {
    requests: number(/(\d+) requests in/),
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    p50: micros(50),
    p99: micros(99),
  };
}

/** Requests a second with 32 connections, and microseconds of processor time for each. */
export async function throughput(target: Target, { home }: Tools, seconds: number) {
  const before = cpuOf(target.pid);
  const { requests, perSecond } = await wrk(target, 32, seconds, home);
  return { perSecond, cpuUs: (cpuOf(target.pid) - before) / 1e3 / requests };
}

/** Microseconds of a request on one connection. */
export async function latency(target: Target, { home }: Tools, seconds: number) {
  const { p50, p99 } = await wrk(target, 1, seconds, home);
  return { p50, p99 };
}

interface Streamed {
  readonly whole: number;
  readonly events: number;
  /** Milliseconds. */
  readonly firstP50: number;
  readonly firstP99: number;
  readonly lagP50: number;
  readonly lagP99: number;
}

async function stream(
  target: Target,
  { count, events, paceUs }: { readonly count: number; readonly events: number; readonly paceUs: number },
  { home, streams }: Tools,
): Promise<Streamed> {
  const file = join(home, 'stream.json');
  await writeFile(file, JSON.stringify({ ...question, stream: true, events, pace_us: paceUs }));
  const { stdout } = await run(...onCore(1, streams, String(target.port), String(count), target.key, file));
  const result = JSON.parse(stdout) as Streamed;
  if (result.whole !== count || result.events !== count * events)
    throw new Error(`${target.name} cut streams: ${stdout}`);
  return result;
}

/** A hundred streams that begin at once, with 200 events each, 10 ms apart. */
export async function streams(target: Target, tools: Tools) {
  // Each keeps its connections to the upstream: what a burst takes is told, and not what connecting takes.
  await stream(target, { count: 100, events: 1, paceUs: 0 }, tools);
  const before = cpuOf(target.pid);
  const { events, firstP50, lagP99 } = await stream(target, { count: 100, events: 200, paceUs: 10_000 }, tools);
  return { cpuUsEvent: (cpuOf(target.pid) - before) / 1e3 / events, firstMs: firstP50, lagMs: lagP99 };
}

/** Kilobytes that a thousand streams under way take, for each. */
export async function memory(target: Target, tools: Tools): Promise<number> {
  const { pid } = target;
  if (pid === null) return NaN;
  const before = residentKb(pid);
  let most = before;
  const looks = setInterval(() => (most = Math.max(most, residentKb(pid))), 200);
  try {
    await stream(target, { count: 1000, events: 200, paceUs: 50_000 }, tools);
  } finally {
    clearInterval(looks);
  }
  return (most - before) / 1000;
}
