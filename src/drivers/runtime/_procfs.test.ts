import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { createOomWatch } from './_oom.ts';
import { openProcfs } from './_procfs.ts';

function setup() {
  const root = mkdtempSync(join(tmpdir(), 'sutaz-procfs-'));
  onTestFinished(() => rmSync(root, { recursive: true }));
  const write = (path: string, text: string) => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  write('sys/kernel/random/boot_id', 'boot-1\n');
  const add = (pid: number, startTicks = 1) =>
    write(`${pid}/stat`, `${pid} (x) S 1 1 1 0 -1 0 ${'0 '.repeat(12)}${startTicks} 0`);
  const clock = fakeClock();
  return { root, write, add, clock, procfs: openProcfs(clock, root) };
}

describe('procfs', () => {
  it('reads the table once for those who ask close to each other', () => {
    const { add, clock, procfs } = setup();
    add(10);
    expect([...procfs.table(200).keys()]).toEqual([10]);
    add(11);
    clock.advance(200);
    expect([...procfs.table(200).keys()]).toEqual([10]);
    expect([...procfs.table(0).keys()]).toEqual([10, 11]);
    add(12);
    clock.advance(201);
    expect([...procfs.table(200).keys()]).toEqual([10, 11, 12]);
  });

  it('measures the proportional set, the resident one where that is hidden, and nothing of what has ended', async () => {
    const { write, procfs } = setup();
    write('10/smaps_rollup', '55ad-7ffd ---p 0 00:00 0 [rollup]\nRss:  900 kB\nPss:    300 kB\nPss_Dirty: 1 kB\n');
    write('11/status', 'Name: x\nVmRSS:\t   500 kB\n');
    expect(await Promise.all([10, 11, 12].map((pid) => procfs.memory(pid)))).toEqual([300 * 1024, 500 * 1024, 0]);
  });

  it('reads an environment once, and again when the pid has a new owner or showed none yet', () => {
    const { write, add, procfs } = setup();
    add(10);
    const entry = () => procfs.entry(10)!;
    write('10/environ', '');
    expect(procfs.variable(entry(), 'SUTAZ_INSTANCE')).toBeUndefined();
    write('10/environ', 'KEY=secret\0SUTAZ_INSTANCE=i-1\0');
    expect(procfs.variable(entry(), 'SUTAZ_INSTANCE')).toBe('i-1');
    write('10/environ', 'SUTAZ_INSTANCE=i-2\0');
    expect(procfs.variable(entry(), 'SUTAZ_INSTANCE')).toBe('i-1');
    add(10, 2);
    expect(procfs.variable(entry(), 'SUTAZ_INSTANCE')).toBe('i-2');
  });

  it('says where there is none', () => {
    expect(() => openProcfs(fakeClock(), '/no/such/proc')).toThrow('ENOENT');
  });
});

describe('the kernel killed for want of memory', () => {
  it('when its count rose shortly before, and not because it ever did', () => {
    const clock = fakeClock();
    let count: number | null = 4;
    const watch = createOomWatch(clock, () => count);
    expect(watch.roseLately()).toBe(false);
    count = 5;
    expect(watch.roseLately()).toBe(true);
    clock.advance(10_001);
    expect(watch.roseLately()).toBe(false);
    count = null;
    expect(watch.roseLately()).toBe(false);
  });
});
