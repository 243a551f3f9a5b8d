import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { bindingGroup, openPressure, parseEvents, parsePressure, pressureLevel, watchPressure } from './pressure.ts';
import type { PressureLevel, PressureReading, PressureSample } from './pressure.ts';

const calm: PressureSample = { some: 0, full: 0, oom: false, high: false };
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('the level', () => {
  it.each<[Partial<PressureSample>, PressureLevel]>([
    [{}, 'none'],
    [{ some: 4.99 }, 'none'],
    [{ some: 5 }, 'caches'],
    [{ high: true }, 'caches'],
    [{ some: 15 }, 'idle'],
    [{ full: 1.99 }, 'none'],
    [{ full: 2 }, 'idle'],
    [{ full: 8 }, 'admission'],
    [{ oom: true }, 'admission'],
  ])('of %j is %s', (change, level) => expect(pressureLevel({ ...calm, ...change }, 'none')).toBe(level));

  it.each<[PressureLevel, Partial<PressureSample>, PressureLevel]>([
    ['admission', { full: 4 }, 'admission'],
    ['admission', { full: 3.9, some: 10 }, 'idle'],
    ['admission', {}, 'none'],
    ['idle', { some: 7.5 }, 'idle'],
    ['idle', { some: 7.4 }, 'caches'],
    ['caches', { some: 2.5 }, 'caches'],
    ['caches', { some: 2.4 }, 'none'],
    // What holds a level does not raise one.
    ['none', { full: 4 }, 'idle'],
    ['caches', { some: 7.5 }, 'caches'],
    ['caches', { some: 15 }, 'idle'],
  ])('after %s, of %j, is %s', (before, change, level) =>
    expect(pressureLevel({ ...calm, ...change }, before)).toBe(level),
  );
});

describe('the watch', () => {
  function bench() {
    const clock = fakeClock();
    const told: string[] = [];
    const notes: string[] = [];
    const log = { ...silentLogger, info: (message: string) => notes.push(message), warn: (m: string) => notes.push(m) };
    let reading: PressureReading | null | Error = { some: 0, full: 0, ooms: 0, highs: 0 };
    const watch = watchPressure({
      ...{ clock, log, onLevel: (level) => told.push(level) },
      read: () => (reading instanceof Error ? Promise.reject(reading) : Promise.resolve(reading)),
    });
    const look = async (next: Partial<PressureReading> | null | Error, times = 1) => {
      reading = next === null || next instanceof Error ? next : { some: 0, full: 0, ooms: 3, highs: 9, ...next };
      for (let i = 0; i < times; i++) {
        clock.advance(2_000);
        await turn();
      }
      return told.splice(0);
    };
    return { look, watch, notes, clock };
  }

  it('tells again for as long as it lasts, once that it is over, and nothing while there is none', async () => {
    const { look, watch } = bench();
    expect(await look({}, 3)).toEqual([]);
    expect(await look({ some: 20 }, 3)).toEqual(['idle', 'idle', 'idle']);
    expect(await look({ some: 6 })).toEqual(['caches']);
    expect(watch.level()).toBe('caches');
    expect(await look({}, 3)).toEqual(['none']);
  });

  it('takes a new kill or a new hold for news for ten seconds, and the counts it began with for none', async () => {
    const { look } = bench();
    expect(await look({ ooms: 5, highs: 70 }, 2)).toEqual([]);
    expect(await look({ ooms: 6, highs: 70 }, 7)).toEqual([...Array<string>(5).fill('admission'), 'none']);
    expect(await look({ ooms: 6, highs: 71 })).toEqual(['caches']);
  });

  it('notes once that the kernel does not say, and looks no more', async () => {
    const { look, notes, clock } = bench();
    expect(await look(null, 3)).toEqual([]);
    expect(notes).toEqual([expect.stringContaining('/proc/pressure/memory')]);
    expect(clock.pending).toBe(0);
  });

  it('goes on after a look that failed, and ends when closed', async () => {
    const { look, watch, notes } = bench();
    expect(await look(new Error('EIO'))).toEqual([]);
    expect(notes).toHaveLength(1);
    expect(await look({ full: 9 })).toEqual(['admission']);
    watch.close();
    expect(await look({ full: 9 }, 2)).toEqual([]);
  });
});

describe('the files', () => {
  const psi = 'some avg10=1.53 avg60=0.87 avg300=0.21 total=58761459\nfull avg10=0.40 avg60=0 avg300=0 total=1\n';

  it('are read', () => {
    expect(parsePressure(psi)).toEqual({ some: 1.53, full: 0.4 });
    expect(parsePressure('some avg10=100.00 avg60=1 avg300=1 total=1\n')).toEqual({ some: 100, full: 0 });
    const events = 'low 0\nhigh 12\nmax 4\noom 2\noom_kill 1\noom_group_kill 7\n';
    expect(parseEvents(events)).toEqual({ ooms: 3, highs: 12 });
  });

  async function tree(files: Readonly<Record<string, string>>): Promise<string> {
    const root = await mkdtemp(join(tmpdir(), 'sutaz-pressure-'));
    onTestFinished(() => rm(root, { recursive: true }));
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), text);
    }
    return root;
  }

  it('of the machine and of the group count by the worse', async () => {
    const root = await tree({
      'pressure/memory': psi,
      'group/memory.pressure': 'some avg10=0.10 avg60=0\nfull avg10=3.00 avg60=0\n',
      'group/memory.events': 'high 1\noom 0\noom_kill 2\n',
    });
    const group = async () => join(root, 'group');
    expect(await (await openPressure(root, group))()).toEqual({ some: 1.53, full: 3, ooms: 2, highs: 1 });
    expect(await (await openPressure(root, async () => null))()).toEqual({ some: 1.53, full: 0.4, ooms: 0, highs: 0 });
    expect(await (await openPressure(join(root, 'no'), async () => null))()).toBeNull();
  });

  it('of a group of version 1 count its kills', async () => {
    const root = await tree({ 'cg/app/memory.oom_control': 'oom_kill_disable 0\nunder_oom 0\noom_kill 4\n' });
    await mkdir(join(root, 'proc/self'), { recursive: true });
    await writeFile(join(root, 'proc/self/cgroup'), '4:memory:/app\n0::/\n');
    const mount = `35 31 0:32 / ${root}/cg rw - cgroup cgroup rw,memory\n`;
    await writeFile(join(root, 'proc/self/mountinfo'), mount);
    expect(await (await openPressure(join(root, 'proc')))()).toEqual({ some: 0, full: 0, ooms: 4, highs: 0 });
  });

  it('are those of the nearest group with a limit', async () => {
    const group = { 'cgroup.procs': '', 'memory.max': 'max\n', 'memory.high': 'max\n' };
    const at = (folder: string, over = {}) =>
      Object.fromEntries(Object.entries({ ...group, ...over }).map(([name, text]) => [join(folder, name), text]));
    const root = await tree({ ...at('a', { 'memory.max': '1024\n' }), ...at('a/b'), ...at('a/b/c'), ...at('d') });
    expect(await bindingGroup(join(root, 'a/b/c'))).toBe(join(root, 'a'));
    expect(await bindingGroup(join(root, 'd'))).toBe(join(root, 'd'));
    expect(await bindingGroup(null)).toBeNull();
  });

  it('of this machine are read without an error', async () => {
    const reading = await (await openPressure())();
    expect(reading === null || (reading.some <= 100 && reading.full <= 100)).toBe(true);
  });
});
