import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { abortFault, deadline, throwIfAborted } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault, systemCode } from '#kernel/faults';
import type { Logger } from '#kernel/logger';

/** One device. Bytes; null where it does not tell, as one that shares the machine's memory. */
export interface Gpu {
  readonly index: number;
  readonly uuid: string;
  readonly name: string;
  readonly totalBytes: number | null;
  readonly usedBytes: number | null;
}

/** What one process holds on one device. */
export interface GpuUse {
  readonly pid: number;
  readonly uuid: string;
  readonly bytes: number | null;
}

export interface GpuSnapshot {
  readonly gpus: readonly Gpu[];
  readonly uses: readonly GpuUse[];
}

export interface GpuReader {
  /**
   * What `nvidia-smi` says now; null where there is no such program. Throws UPSTREAM_FAILED when it fails or says what
   * nobody understands, TIMEOUT when it hangs, CANCELLED when the signal aborts.
   */
  read(signal: AbortSignal): Promise<GpuSnapshot | null>;
}

export interface GpuOptions {
  readonly clock: Clock;
  readonly log: Logger;
  /** `PATH` is where it is looked for. */
  readonly env: NodeJS.ProcessEnv;
}

/** Milliseconds that a call may take: the first after a boot loads the driver, which is seconds without its daemon. */
const timeoutMs = 10_000;
const format = '--format=csv,noheader,nounits';
const deviceFields = 'index,uuid,name,memory.total,memory.used';
const useFields = 'pid,gpu_uuid,used_memory';

export function createGpuReader({ clock, log, env }: GpuOptions): GpuReader {
  let noted = false;
  const note = () => {
    if (!noted) log.info('there is no nvidia-smi on PATH: GPUs are left out of account');
    noted = true;
  };
  return {
    async read(signal) {
      throwIfAborted(signal);
      const limit = deadline(clock, timeoutMs, 'nvidia-smi does not answer.', signal);
      try {
        const devices = await ask([`--query-gpu=${deviceFields}`, format], env, limit.signal);
        if (devices === null) {
          note();
          return null;
        }
        if (devices === '') return { gpus: [], uses: [] };
        const uses = await ask([`--query-compute-apps=${useFields}`, format], env, limit.signal);
        return { gpus: parseGpus(devices), uses: parseUses(uses ?? '') };
      } finally {
        limit.clear();
      }
    },
  };
}

/** Its output; empty when it finds no device, null when there is no such program. */
function ask(args: readonly string[], env: NodeJS.ProcessEnv, signal: AbortSignal): Promise<string | null> {
  return new Promise((resolve, reject) => {
    // SIGKILL: it may wait for a driver that hangs, and hears nothing else then.
    execFile('nvidia-smi', args, { env, signal, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      if (!error) return resolve(stdout);
      if (signal.aborted) return reject(abortFault(signal));
      if (systemCode(error) === 'ENOENT') return resolve(null);
      // Said on either stream, with a code of its own (6) that older ones lack.
      const said = `${stdout}${stderr}`.trim();
      if (/^No devices were found/m.test(said)) return resolve('');
      const [line] = said.split('\n');
      reject(new Fault('UPSTREAM_FAILED', `nvidia-smi failed: ${line || error.message}`, { cause: error }));
    });
  });
}

/** Lines of `--query-gpu` with the five fields. A name may hold commas; what stands around it may not. */
export function parseGpus(text: string): Gpu[] {
  return rows(text).map(({ line, fields }) => {
    const [index = '', uuid = ''] = fields;
    const [total = '', used = ''] = fields.slice(-2);
    const name = fields.slice(2, -2).join(', ');
    if (fields.length < 5 || !/^\d+$/.test(index) || !uuid || !name) throw malformed('--query-gpu', line);
    const bytes = (value: string) => bytesOf(value, '--query-gpu', line);
    return { index: Number(index), uuid, name, totalBytes: bytes(total), usedBytes: bytes(used) };
  });
}

/** Lines of `--query-compute-apps` with the three fields. */
export function parseUses(text: string): GpuUse[] {
  return rows(text).map(({ line, fields }) => {
    const [pid = '', uuid = '', used = ''] = fields;
    if (fields.length !== 3 || !/^\d+$/.test(pid) || !uuid) throw malformed('--query-compute-apps', line);
    return { pid: Number(pid), uuid, bytes: bytesOf(used, '--query-compute-apps', line) };
  });
}

const rows = (text: string): { readonly line: string; readonly fields: readonly string[] }[] =>
  text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean)
    .map((line) => ({ line, fields: line.split(',').map((field) => field.trim()) }));

/** MiB without the unit. `[N/A]`, `[Not Supported]`, `[Insufficient Permissions]`: it does not tell. */
function bytesOf(value: string, query: string, line: string): number | null {
  if (/^\[.*\]$/.test(value) || value === 'N/A') return null;
  if (!/^\d+$/.test(value)) throw malformed(query, line);
  return Number(value) * 2 ** 20;
}

const malformed = (query: string, line: string): Fault =>
  new Fault('UPSTREAM_FAILED', `nvidia-smi ${query}: this line is not understood: ${JSON.stringify(line)}`);

/**
 * What each process group holds, by device. An instance is the leader of its group, so its pid is the group's number.
 * Of a process that has ended, or that this machine's table does not have (of another container), nothing is known.
 */
export async function bytesByGroup(
  uses: readonly GpuUse[],
  groupOf: (pid: number) => Promise<number | null> = processGroup,
): Promise<Map<number, Map<string, number>>> {
  const groups = await Promise.all(uses.map(({ pid }) => groupOf(pid)));
  const found = new Map<number, Map<string, number>>();
  uses.forEach(({ uuid, bytes }, i) => {
    const group = groups[i];
    if (bytes === null || group === null || group === undefined) return;
    const devices = found.get(group) ?? new Map<string, number>();
    found.set(group, devices.set(uuid, (devices.get(uuid) ?? 0) + bytes));
  });
  return found;
}

/** The fifth field of `/proc/<pid>/stat`; the name before it may hold spaces and brackets. */
async function processGroup(pid: number): Promise<number | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  return text === null ? null : Number(text.slice(text.lastIndexOf(')') + 2).split(' ')[2]);
}
