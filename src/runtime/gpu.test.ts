import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { systemClock } from '#kernel/clock';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { bytesByGroup, createGpuReader, parseGpus, parseUses } from './gpu.ts';

const MiB = 2 ** 20;
const never = new AbortController().signal;
const devices = `0, GPU-aaaa, NVIDIA GeForce RTX 4090, 24564, 1207
1, GPU-bbbb, Tesla T4, 15360, 0
`;

describe('what nvidia-smi prints', () => {
  it('is read as bytes', () => {
    expect(parseGpus(devices)).toEqual([
      { index: 0, uuid: 'GPU-aaaa', name: 'NVIDIA GeForce RTX 4090', totalBytes: 24564 * MiB, usedBytes: 1207 * MiB },
      { index: 1, uuid: 'GPU-bbbb', name: 'Tesla T4', totalBytes: 15360 * MiB, usedBytes: 0 },
    ]);
    expect(parseUses('4711, GPU-aaaa, 812\n4712, GPU-bbbb, [N/A]\n')).toEqual([
      { pid: 4711, uuid: 'GPU-aaaa', bytes: 812 * MiB },
      { pid: 4712, uuid: 'GPU-bbbb', bytes: null },
    ]);
    expect([parseGpus(''), parseUses('\n')]).toEqual([[], []]);
  });

  it('may not tell a size, and may have commas in a name', () => {
    expect(parseGpus('0, GPU-c, Orin, nvgpu, [N/A], [Not Supported]')).toEqual([
      { index: 0, uuid: 'GPU-c', name: 'Orin, nvgpu', totalBytes: null, usedBytes: null },
    ]);
  });

  it.each([
    '0, GPU-a, T4, 15360',
    'x, GPU-a, T4, 1, 2',
    '0, , T4, 1, 2',
    '0, GPU-a, T4, 15360 MiB, 2',
    'Unable to read',
  ])('is refused by its line when it is %j', (line) =>
    expect(() => parseGpus(`${devices}${line}\n`)).toThrow(`--query-gpu: this line is not understood: "${line}"`),
  );

  it.each(['4711, GPU-a', '4711, GPU-a, many', 'pid, GPU-a, 1', '4711, GPU-a, 1, 2'])(
    'is refused by its line when a use is %j',
    (line) => expect(() => parseUses(line)).toThrow(`--query-compute-apps: this line is not understood: "${line}"`),
  );
});

describe('the reader', () => {
  /** A stand-in on PATH: a shell script that is really run. */
  async function standIn(script: string | null, clock = systemClock) {
    const folder = await mkdtemp(join(tmpdir(), 'sutaz-gpu-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    if (script !== null) await writeFile(join(folder, 'nvidia-smi'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const notes: string[] = [];
    const log = { ...silentLogger, info: (message: string) => void notes.push(message) };
    return { reader: createGpuReader({ clock, log, env: { PATH: folder, OUT: folder } }), notes, folder };
  }

  it('asks for devices and for what processes hold', async () => {
    const { reader, folder, notes } = await standIn(`echo "$*" >> "$OUT/asked"
      case "$1" in
        --query-gpu=*) echo "0, GPU-aaaa, Tesla T4, 15360, 900";;
        --query-compute-apps=*) echo "4711, GPU-aaaa, 812";;
      esac`);
    expect(await reader.read(never)).toEqual({
      gpus: [{ index: 0, uuid: 'GPU-aaaa', name: 'Tesla T4', totalBytes: 15360 * MiB, usedBytes: 900 * MiB }],
      uses: [{ pid: 4711, uuid: 'GPU-aaaa', bytes: 812 * MiB }],
    });
    expect(await readFile(join(folder, 'asked'), 'utf8')).toBe(
      `--query-gpu=index,uuid,name,memory.total,memory.used --format=csv,noheader,nounits
--query-compute-apps=pid,gpu_uuid,used_memory --format=csv,noheader,nounits
`,
    );
    expect(notes).toEqual([]);
  });

  it('finds nothing where there is no such program, and notes that once', async () => {
    const { reader, notes } = await standIn(null);
    for (let i = 0; i < 2; i++) expect(await reader.read(never)).toBeNull();
    expect(notes).toEqual([expect.stringContaining('nvidia-smi')]);
  });

  it('finds nothing where there is no device', async () => {
    const { reader, notes } = await standIn('echo "No devices were found"; exit 6');
    expect(await reader.read(never)).toEqual({ gpus: [], uses: [] });
    expect(notes).toEqual([]);
  });

  it('says what it said when it failed', async () => {
    const { reader } = await standIn(`echo "NVIDIA-SMI has failed because it couldn't reach the driver."; exit 9`);
    await expect(reader.read(never)).rejects.toMatchObject({
      code: 'UPSTREAM_FAILED',
      message: `nvidia-smi failed: NVIDIA-SMI has failed because it couldn't reach the driver.`,
    });
  });

  it('ends one that hangs, after its time and when the caller leaves', async () => {
    const hangs = 'echo $$ > "$OUT/pid"; PATH=/bin:/usr/bin exec sleep 600';
    const pidIn = async (folder: string): Promise<number> => {
      for (;;) {
        const pid = Number(await readFile(join(folder, 'pid'), 'utf8').catch(() => ''));
        if (pid > 0) return pid;
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    };
    const clock = fakeClock();
    const slow = await standIn(hangs, clock);
    const reading = slow.reader.read(never);
    const pid = await pidIn(slow.folder);
    clock.advance(10_000);
    await expect(reading).rejects.toMatchObject({ code: 'TIMEOUT' });
    const left = await standIn(hangs);
    const leaving = new AbortController();
    const other = left.reader.read(leaving.signal);
    const otherPid = await pidIn(left.folder);
    leaving.abort();
    await expect(other).rejects.toMatchObject({ code: 'CANCELLED' });
    for (const one of [pid, otherPid]) {
      await expect.poll(() => readFile(`/proc/${one}/stat`, 'utf8').catch(() => 'gone')).toMatch(/^gone|\) Z /);
    }
    expect(clock.pending).toBe(0);
  });
});

describe('what a process group holds', () => {
  it('is the sum over its processes, by device', async () => {
    const uses = [
      { pid: 11, uuid: 'a', bytes: 1 },
      { pid: 12, uuid: 'a', bytes: 2 },
      { pid: 12, uuid: 'b', bytes: 4 },
      { pid: 13, uuid: 'b', bytes: null },
      { pid: 20, uuid: 'b', bytes: 8 },
      { pid: 99, uuid: 'b', bytes: 16 },
    ];
    const groups = new Map([
      [11, 10],
      [12, 10],
      [13, 10],
      [20, 20],
    ]);
    const found = await bytesByGroup(uses, async (pid) => groups.get(pid) ?? null);
    expect([...found].map(([group, sums]) => [group, Object.fromEntries(sums)])).toEqual([
      [10, { a: 3, b: 4 }],
      [20, { b: 8 }],
    ]);
  });

  it('is found by the process table', async () => {
    const child = spawn('/bin/sh', ['-c', 'sleep 600 & echo $!; wait'], {
      detached: true,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    onTestFinished(() => void process.kill(-(child.pid as number), 'SIGKILL'));
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const found = await bytesByGroup([{ pid: Number(String(line)), uuid: 'a', bytes: 5 }]);
    expect(found.get(child.pid as number)?.get('a')).toBe(5);
  });
});
