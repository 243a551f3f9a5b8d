import { access, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ownCgroup, ownMemoryCgroupV1 } from '#kernel/cgroups';
import type { Clock } from '#kernel/clock';
import { systemCode } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { repeat } from '#kernel/repeat';

/** What the memory calls for: nothing; giving up what sleeps; what is idle, too; starting nothing as well. */
export type PressureLevel = 'none' | 'caches' | 'idle' | 'admission';

/** How hard it is to get memory now. */
export interface PressureSample {
  /** Percent of the last ten seconds in which at least one task waited for memory. */
  readonly some: number;
  /** Percent of the last ten seconds in which all did at once, so that nothing was done at all. */
  readonly full: number;
  /** The control group ran out of memory lately, or the kernel killed in it. */
  readonly oom: boolean;
  /** The control group was held at its `memory.high` lately. */
  readonly high: boolean;
}

const order: readonly PressureLevel[] = ['none', 'caches', 'idle', 'admission'];

/** Larger is worse; for a metric. */
export const severity = (level: PressureLevel): number => order.indexOf(level);

/**
 * 1. the group ran out of memory, or everything stands still for 8 % of the time: nothing new starts;
 * 2. everything stands still for 2 % of the time, or something waits for 15 %: what is idle goes;
 * 3. something waits for 5 % of the time, or the group is being held back: what sleeps goes;
 * 4. otherwise nothing.
 *
 * The kernel takes back file cache all the time, so a little of `some` is no want; `full` is time in which the machine
 * only moved pages and is lost for everyone, so far less of it counts. systemd-oomd kills at 60 % by default: at 8 %
 * there is still time to give way in order. A level that was reached stays until the figures are below half of what led
 * to it: the average falls by a fifth in each two seconds once the want has ended, and must not flap meanwhile.
 *
 * Meaning of the figures: Documentation/accounting/psi.rst and the section on memory of
 * Documentation/admin-guide/cgroup-v2.rst of the kernel.
 */
export function pressureLevel(sample: PressureSample, before: PressureLevel): PressureLevel {
  const reached = levelAt(sample, 1);
  const held = levelAt(sample, 0.5);
  if (severity(before) <= severity(reached)) return reached;
  return severity(before) <= severity(held) ? before : held;
}

function levelAt({ some, full, oom, high }: PressureSample, factor: number): PressureLevel {
  if (oom || full >= 8 * factor) return 'admission'; // 1
  if (full >= 2 * factor || some >= 15 * factor) return 'idle'; // 2
  if (high || some >= 5 * factor) return 'caches'; // 3
  return 'none'; // 4
}

/** What the kernel's files say. Counts only ever rise. */
export interface PressureReading {
  readonly some: number;
  readonly full: number;
  /** Of the control group: how often it ran out of memory or was killed in, and how often it was held back. */
  readonly ooms: number;
  readonly highs: number;
}

export interface PressureWatch {
  readonly level: () => PressureLevel;
  close(): void;
}

export interface PressureOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** Null where the kernel does not say. */
  readonly read: () => Promise<PressureReading | null>;
  /** Called at each look for as long as there is pressure, and once when it is over. */
  readonly onLevel: (level: PressureLevel, sample: PressureSample) => void;
}

/** Milliseconds between looks: as often as the kernel computes its averages. */
const everyMs = 2_000;
/** Milliseconds for which an event of the group counts: the span of the averages beside it. */
const latelyMs = 10_000;

/** Looks at the pressure on memory. Where the kernel does not say, it notes that once and looks no more. */
export function watchPressure({ clock, log, read, onLevel }: PressureOptions): PressureWatch {
  let level: PressureLevel = 'none';
  let last: PressureReading | null = null;
  const [ooms, highs] = [createRises(clock), createRises(clock)];
  const look = async () => {
    const reading = await read();
    if (!reading) {
      // It was there and is gone, as when a container's mounts change: what was said of it is not true for ever.
      log.info('the kernel does not tell of pressure on memory (no /proc/pressure/memory): none is looked for');
      close();
      if (level !== 'none') onLevel((level = 'none'), { some: 0, full: 0, oom: false, high: false });
      return;
    }
    const oom = ooms.lately(reading.ooms, last?.ooms);
    const high = highs.lately(reading.highs, last?.highs);
    last = reading;
    const sample = { some: reading.some, full: reading.full, oom, high };
    const before = level;
    level = pressureLevel(sample, before);
    if (level !== 'none' || before !== 'none') onLevel(level, sample);
  };
  const close = repeat(clock, everyMs, look, (error) =>
    log.warn('a look at the pressure on memory failed', { error: String(error) }),
  );
  return { level: () => level, close };
}

function createRises(clock: Clock) {
  let at = -Infinity;
  return {
    lately(count: number, before: number | undefined) {
      // What happened before the first look is not news.
      if (before !== undefined && count > before) at = clock.now();
      return clock.now() - at < latelyMs;
    },
  };
}

/** `some avg10=0.12 avg60=...` and, where the kernel has it, `full ...`. */
export function parsePressure(text: string): { readonly some: number; readonly full: number } {
  const average = (kind: string) => Number(new RegExp(`^${kind} avg10=([\\d.]+)`, 'm').exec(text)?.[1] ?? 0);
  return { some: average('some'), full: average('full') };
}

/** The counts of `memory.events`, one a line. */
export function parseEvents(text: string): { readonly ooms: number; readonly highs: number } {
  const count = (name: string) => Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
  return { ooms: count('oom') + count('oom_kill'), highs: count('high') };
}

/** Version 1 has no more than the count of kills, in `memory.oom_control`: hitting its limit is told for file cache, too. */
export const parseOomControl = (text: string): number => Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0);

/**
 * Reads the machine's pressure and that of the control group whose limit binds this process, whichever is worse. The
 * group is looked for once.
 */
export async function openPressure(
  proc = '/proc',
  group: () => Promise<string | null> = () => ownCgroup(`${proc}/self`).then(bindingGroup),
): Promise<() => Promise<PressureReading | null>> {
  const [folder, first] = await Promise.all([group(), ownMemoryCgroupV1(`${proc}/self`)]);
  return async () => {
    const [machine, inGroup, events, control] = await Promise.all([
      readText(`${proc}/pressure/memory`),
      folder && readText(`${folder}/memory.pressure`),
      folder && readText(`${folder}/memory.events`),
      first && readText(`${first}/memory.oom_control`),
    ]);
    if (machine === null && !inGroup && !events && !control) return null;
    const [one, other] = [parsePressure(machine ?? ''), parsePressure(inGroup ?? '')];
    const { ooms, highs } = parseEvents(events ?? '');
    return {
      some: Math.max(one.some, other.some),
      full: Math.max(one.full, other.full),
      ooms: ooms + parseOomControl(control ?? ''),
      highs,
    };
  };
}

/** The nearest group upwards that has a limit: its memory is what can run out. Without any, the process's own. */
export async function bindingGroup(own: string | null): Promise<string | null> {
  for (let folder = own; folder !== null && (await exists(`${folder}/cgroup.procs`)); folder = dirname(folder)) {
    const limits = await Promise.all(['max', 'high'].map((name) => readText(`${folder}/memory.${name}`)));
    if (limits.some((limit) => limit !== null && limit.trim() !== 'max')) return folder;
  }
  return own;
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

/** Not there, or switched off: the kernel then has the file and refuses to read it (`psi=0`). */
async function readText(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (['ENOENT', 'EOPNOTSUPP', 'ENOTSUP', 'EACCES', 'ENODEV', 'ENOTDIR'].includes(systemCode(error) ?? ''))
      return null;
    throw error;
  }
}
