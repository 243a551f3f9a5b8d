import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { cgroupLimit, memoryLimit, readMachine } from './machine.ts';

const gib = 2 ** 30;

describe('the ledger limit', () => {
  it('is the machine less a tenth, at least one GiB', () => {
    const inputs = { cgroupBytes: null, configuredBytes: undefined, reserveBytes: undefined };
    expect(memoryLimit({ ...inputs, totalBytes: 20 * gib }).bytes).toBe(18 * gib);
    expect(memoryLimit({ ...inputs, totalBytes: 4 * gib }).bytes).toBe(3 * gib);
  });

  it('is the least of machine, control group and configuration, and says which', () => {
    const inputs = { totalBytes: 20 * gib, cgroupBytes: 8 * gib, configuredBytes: undefined, reserveBytes: gib };
    expect(memoryLimit(inputs)).toMatchObject({
      bytes: Math.floor(8 * gib * 0.95),
      reason: expect.stringContaining('control group'),
    });
    expect(memoryLimit({ ...inputs, configuredBytes: gib })).toMatchObject({
      bytes: gib,
      reason: expect.stringContaining('memory.limit'),
    });
    expect(memoryLimit({ ...inputs, cgroupBytes: 40 * gib }).bytes).toBe(19 * gib);
  });

  it('is never below nothing', () => {
    expect(
      memoryLimit({ totalBytes: gib / 2, cgroupBytes: null, configuredBytes: undefined, reserveBytes: gib }).bytes,
    ).toBe(0);
  });
});

describe("the control group's limit", () => {
  const unlimited = '9223372036854771712\n';

  /** The kernel's files as it would show them to a process, with their places below a folder of the test's own. */
  async function kernel(files: Readonly<Record<string, string>>) {
    const root = await mkdtemp(join(tmpdir(), 'sutaz-machine-'));
    onTestFinished(() => rm(root, { recursive: true, force: true }));
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(root, name)), { recursive: true });
      await writeFile(join(root, name), text.replaceAll('ROOT', root));
    }
    return cgroupLimit(join(root, 'proc'));
  }
  const v2 = {
    'proc/cgroup': '0::/user.slice/app.scope\n',
    'proc/mountinfo': '30 23 0:26 / ROOT/cg rw,nosuid shared:4 - cgroup2 cgroup2 rw\n',
    'cg/cgroup.procs': '',
    'cg/user.slice/cgroup.procs': '',
    'cg/user.slice/app.scope/cgroup.procs': '',
  };
  const v1 = {
    'proc/cgroup': '5:cpu:/\n4:memory:/app\n0::/\n',
    'proc/mountinfo':
      '34 31 0:31 / ROOT/cpu rw - cgroup cgroup rw,cpu\n35 31 0:32 / ROOT/memory rw - cgroup cgroup rw,memory\n',
  };

  it.each<[string, Record<string, string>, number | null]>([
    ['of version 2', { 'cg/user.slice/app.scope/memory.max': '1048576\n' }, 1_048_576],
    [
      'that a level above sets',
      { 'cg/user.slice/memory.max': '4096\n', 'cg/user.slice/app.scope/memory.max': 'max\n' },
      4_096,
    ],
    [
      'above which it is slowed down',
      { 'cg/user.slice/memory.max': '9000\n', 'cg/user.slice/app.scope/memory.high': '8192\n' },
      8_192,
    ],
    ['that is nothing at all', { 'cg/user.slice/app.scope/memory.max': '0\n' }, 0],
    [
      'that there is none of',
      { 'cg/user.slice/app.scope/memory.max': 'max\n', 'cg/user.slice/app.scope/memory.high': 'max\n' },
      null,
    ],
    ['where memory is not counted', {}, null],
    ['of what is above the hierarchy, which is nobody’s', { 'memory.max': '1\n' }, null],
  ])('%s', async (_, files, wanted) => expect(await kernel({ ...v2, ...files })).toBe(wanted));

  it.each<[string, Record<string, string>, number | null]>([
    ['of version 1', { 'memory/app/memory.limit_in_bytes': '2097152\n' }, 2_097_152],
    [
      'that a level above sets, seen or not',
      {
        'memory/app/memory.limit_in_bytes': unlimited,
        'memory/app/memory.stat': 'cache 1\nhierarchical_memory_limit 1048576\nhierarchical_memsw_limit 1\n',
      },
      1_048_576,
    ],
    [
      'that there is none of',
      {
        'memory/app/memory.limit_in_bytes': unlimited,
        'memory/app/memory.stat': `hierarchical_memory_limit ${unlimited}`,
      },
      null,
    ],
    ['where nothing can be read', {}, null],
  ])('%s (version 1)', async (_, files, wanted) => expect(await kernel({ ...v1, ...files })).toBe(wanted));

  it('is the lesser one where there are both versions', async () => {
    const both = {
      'proc/cgroup': '4:memory:/app\n0::/user.slice/app.scope\n',
      'proc/mountinfo': `${v2['proc/mountinfo']}${v1['proc/mountinfo']}`,
      'memory/app/memory.limit_in_bytes': '2048\n',
      'cg/user.slice/app.scope/memory.max': '4096\n',
    };
    expect(await kernel({ ...v2, ...both })).toBe(2_048);
  });

  it('is not known elsewhere, and here is one that this machine could have', async () => {
    expect(await cgroupLimit('/nowhere')).toBeNull();
    const { totalBytes, cgroupBytes } = await readMachine();
    expect(totalBytes).toBeGreaterThan(0);
    expect(cgroupBytes === null || cgroupBytes > 0).toBe(true);
  });
});
