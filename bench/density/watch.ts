import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { ApiEvent, ApiLedgerLines } from '#contracts/api';
import { followEvents } from '../../test/_platform.ts';
import type { TestPlatform } from '../../test/_platform.ts';
import { processesOf } from '../../test/fixtures/holders.ts';

export interface Sample {
  /** Milliseconds from the beginning. */
  readonly at: number;
  /** Sum of the proportional set sizes of every process of the platform's instances. */
  readonly pssBytes: number;
  readonly byService: ReadonlyMap<string, number>;
  readonly processes: number;
  /** What the ledger said at that time. */
  readonly reservedBytes: number;
  readonly measuredBytes: number;
  /** How many units hold memory, by state. */
  readonly states: Readonly<Record<string, number>>;
}

export interface Watch {
  readonly samples: readonly Sample[];
  /** What was told of units: how often each thing happened, and the ends that nobody asked for. */
  readonly counts: ReadonlyMap<string, number>;
  readonly unasked: readonly string[];
  stop(): Promise<void>;
}

/** Looks at the processes and the ledger at each step, one look after the other. */
export function watch(platform: TestPlatform, stepMs: number): Watch {
  const samples: Sample[] = [];
  const counts = new Map<string, number>();
  const unasked: string[] = [];
  const events = followEvents(platform);
  const began = performance.now();
  let stopped = false;
  const digest = () => {
    for (const { event, data } of events.seen.splice(0)) {
      if (event !== 'log') continue;
      const { type, unit = '', message } = data as ApiEvent;
      counts.set(type, (counts.get(type) ?? 0) + 1);
      if (type === 'exited' || type === 'failed') unasked.push(`${unit} ${message}`);
    }
  };
  const run = async () => {
    for (let next = began; !stopped; next += stepMs) {
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, next - performance.now())));
      // Under a load that leaves no time a look may take longer than a step: then the next follows at once.
      next = Math.max(next, performance.now() - stepMs);
      samples.push(await look(platform, performance.now() - began));
      digest();
    }
  };
  const done = run();
  return {
    samples,
    counts,
    unasked,
    async stop() {
      stopped = true;
      await done;
      await events.stop();
      digest();
    },
  };
}

async function look(platform: TestPlatform, at: number): Promise<Sample> {
  const [owned, ledger] = await Promise.all([measured(platform.home), ledgerOf(platform)]);
  const byService = new Map<string, number>();
  for (const { service, bytes } of owned) byService.set(service, (byService.get(service) ?? 0) + bytes);
  const states: Record<string, number> = {};
  for (const { state } of ledger.lines) states[state] = (states[state] ?? 0) + 1;
  return {
    at,
    pssBytes: owned.reduce((sum, { bytes }) => sum + bytes, 0),
    byService,
    processes: owned.length,
    reservedBytes: ledger.reservedBytes,
    measuredBytes: ledger.measuredBytes,
    states,
  };
}

const ledgerOf = async (platform: TestPlatform) =>
  (await (await platform.fetch('/sutaz/v1/ledger')).json()) as ApiLedgerLines;

const measured = (home: string) =>
  Promise.all(processesOf(home).map(async ({ pid, service }) => ({ service, bytes: await proportionalSetSize(pid) })));

/** 0 for one that has ended. Its memory may still be on its way back then: the kernel counts it for nobody. */
async function proportionalSetSize(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'latin1').catch(() => '');
  return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}

/** How many processes the kernel has killed for want of memory: on this machine, and in our cgroup where it says so. */
export function kernelKills(): { readonly machine: number | null; readonly cgroup: number | null } {
  return {
    machine: countIn('/proc/vmstat', /^oom_kill (\d+)$/m),
    cgroup: cgroupFiles().reduce<number | null>((found, file) => found ?? countIn(file, /^oom_kill (\d+)$/m), null),
  };
}

/** `memory.events` of the unified hierarchy, `memory.oom_control` of the old one. */
function cgroupFiles(): string[] {
  const lines = readFileSync('/proc/self/cgroup', 'utf8').trim().split('\n');
  return lines.flatMap((line) => {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === '') return [`/sys/fs/cgroup${path}/memory.events`];
    if (controllers !== 'memory') return [];
    // In a container the path may be as the host sees it, while the mount begins at the container's own group.
    return [`/sys/fs/cgroup/memory${path}/memory.oom_control`, '/sys/fs/cgroup/memory/memory.oom_control'];
  });
}

function countIn(file: string, pattern: RegExp): number | null {
  try {
    const found = pattern.exec(readFileSync(file, 'utf8'))?.[1];
    return found === undefined ? null : Number(found);
  } catch {
    return null;
  }
}
