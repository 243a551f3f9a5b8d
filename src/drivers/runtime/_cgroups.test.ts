import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { cgroupAt, findCgroups, freeSwap, isCgroupOf, makeCgroup, reclaimable, sweepCgroups } from './_cgroups.ts';

const MiB = 2 ** 20;
const never = new AbortController().signal;

/** A folder laid out like a control group; `test/runtime-process.test.ts` uses the kernel's own. */
async function tree(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const root = await mkdtemp(join(tmpdir(), 'sutaz-cgroups-'));
  onTestFinished(() => rm(root, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(root, name)), { recursive: true });
    await writeFile(join(root, name), text);
  }
  return root;
}

describe('what can be taken back', () => {
  const stat = `anon 900\nfile 700\ninactive_anon ${60 * MiB}\nactive_anon ${40 * MiB}\ninactive_file ${8 * MiB}\nactive_file ${2 * MiB}\nunevictable 5\n`;

  it('is file cache, and what the swap has room for', () => {
    expect(reclaimable(stat, 0)).toBe(10 * MiB);
    expect(reclaimable(stat, 30 * MiB)).toBe(40 * MiB);
    expect(reclaimable(stat, 500 * MiB)).toBe(110 * MiB);
    expect(reclaimable('', 500)).toBe(0);
  });

  it('goes into the swap of the machine, within the limit of the group', () => {
    const meminfo = 'MemTotal: 9 kB\nSwapTotal:       4096 kB\nSwapFree:        2048 kB\n';
    expect(freeSwap(meminfo, 'max\n', '7\n')).toBe(2 * MiB);
    expect(freeSwap(meminfo, `${MiB}\n`, '24\n')).toBe(MiB - 24);
    expect(freeSwap(meminfo, '10\n', '24\n')).toBe(0);
    expect(freeSwap('MemTotal: 9 kB\n', 'max\n', '0\n')).toBe(0);
    // No swap accounting in the group: then the machine's counts.
    expect(freeSwap(meminfo, '', '')).toBe(2 * MiB);
  });

  async function group(over: Readonly<Record<string, string>> = {}) {
    const files = {
      'memory.reclaim': '',
      'memory.stat': stat,
      'memory.current': '1000\n',
      meminfo: 'SwapFree: 0 kB\n',
    };
    const root = await tree({ ...files, ...over });
    return { cgroup: cgroupAt(root, root), asked: () => readFile(join(root, 'memory.reclaim'), 'utf8') };
  }

  it('is asked for in steps, no more than was asked and no more than there is', async () => {
    const { cgroup, asked } = await group();
    expect(await cgroup.reclaim(3 * MiB, never)).toBe(0);
    expect(await asked()).toBe(String(3 * MiB));
    await cgroup.reclaim(Infinity, never);
    expect(await asked()).toBe(String(10 * MiB));
    const swapping = await group({ meminfo: `SwapFree: ${30 * 1024} kB\n` });
    await swapping.cgroup.reclaim(Infinity, never);
    // 40 MiB: 32 of them, then the rest.
    expect(await swapping.asked()).toBe(String(8 * MiB));
  });

  it('is not asked for when there is none, after the signal, or where the kernel cannot', async () => {
    const none = await group({ 'memory.stat': 'inactive_anon 5000\n' });
    expect([await none.cgroup.reclaim(Infinity, never), await none.asked()]).toEqual([0, '']);
    const late = await group();
    expect([await late.cgroup.reclaim(Infinity, AbortSignal.abort()), await late.asked()]).toEqual([0, '']);
    const old = await tree({ 'memory.stat': stat });
    expect(await cgroupAt(old, old).reclaim(Infinity, never)).toBe(0);
    expect(existsSync(join(old, 'memory.reclaim'))).toBe(false);
  });
});

describe('freezing', () => {
  it('is given up when it takes too long, and nothing stays frozen', async () => {
    const root = await tree({ 'cgroup.freeze': '0', 'cgroup.events': 'populated 1\nfrozen 0\n' });
    const clock = fakeClock();
    const cgroup = cgroupAt(root);
    const done = cgroup.freeze(clock);
    expect(cgroup.isFreezing()).toBe(true);
    let settled = false;
    void done.then(() => (settled = true));
    for (let i = 0; !settled && i < 2_000; i++) {
      clock.advance(2);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(clock.now()).toBeGreaterThanOrEqual(2_000);
    expect([await done, cgroup.isFreezing(), cgroup.isFrozen()]).toEqual([false, false, false]);
  });

  it('is not to be had of a group that is gone', async () => {
    const cgroup = cgroupAt('/no/such/group');
    expect(await cgroup.freeze(fakeClock())).toBe(false);
    cgroup.thaw();
    await cgroup.add(1);
    await cgroup.remove(fakeClock());
    expect([cgroup.pids(), cgroup.isFrozen(), cgroup.isFreezing()]).toEqual([[], false, false]);
  });
});

describe('where groups are made', () => {
  it('is the own one, or the one around it where that was given to the platform whole', async () => {
    const root = await tree({
      'a/cgroup.procs': '',
      'a/cgroup.subtree_control': '',
      'a/sutaz-platform/cgroup.procs': '',
    });
    expect(await findCgroups(async () => join(root, 'a'))).toBe(join(root, 'a'));
    expect(await readFile(join(root, 'a/cgroup.subtree_control'), 'utf8')).toBe('');
    expect(await findCgroups(async () => join(root, 'a/sutaz-platform'))).toBe(join(root, 'a'));
    expect(await readFile(join(root, 'a/cgroup.subtree_control'), 'utf8')).toBe('+memory');
    expect(await findCgroups(async () => root)).toBeNull();
    expect(await findCgroups(async () => null)).toBeNull();
  });

  it('makes none that could not be frozen', async () => {
    const root = await tree();
    expect(await makeCgroup(root, 'i-1')).toBeNull();
    expect(await makeCgroup(join(root, 'missing'), 'i-1')).toBeNull();
    expect(existsSync(join(root, 'sutaz-i-1'))).toBe(false);
  });

  it('loses what is ours and empty', async () => {
    const root = await tree({ 'sutaz-i-00000000000000aa/inner/x': '', 'sutaz-i-00000000000000bb/sub/none': '' });
    await rm(join(root, 'sutaz-i-00000000000000bb/sub/none'));
    await mkdir(join(root, 'sutaz-platform'));
    await sweepCgroups(root);
    const left = ['sutaz-i-00000000000000aa/inner', 'sutaz-i-00000000000000bb', 'sutaz-platform'];
    expect(left.map((name) => existsSync(join(root, name)))).toEqual([true, false, true]);
  });

  it('is known by the name alone to belong to an instance', () => {
    expect(isCgroupOf('/sys/fs/cgroup/sutaz-i-1', 'i-1')).toBe(true);
    for (const path of ['/sys/fs/cgroup/sutaz-i-2', '/sys/fs/cgroup', 'sutaz-i-1', '', undefined, 7])
      expect(isCgroupOf(path, 'i-1')).toBe(false);
  });
});
