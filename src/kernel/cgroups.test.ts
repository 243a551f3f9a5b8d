import { describe, expect, it } from 'vitest';
import { cgroupFolder, folderV1 } from './cgroups.ts';

const mount = (root: string, point: string, type = 'cgroup2') =>
  `30 23 0:26 ${root} ${point} rw,nosuid shared:4 - ${type} ${type} rw`;
const disk = '23 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw';

describe('the folder of a control group', () => {
  it.each([
    ['0::/user.slice/a.scope', mount('/', '/sys/fs/cgroup'), '/sys/fs/cgroup/user.slice/a.scope'],
    ['0::/', mount('/', '/sys/fs/cgroup'), '/sys/fs/cgroup'],
    ['4:memory:/x\n0::/', mount('/', '/sys/fs/cgroup/unified'), '/sys/fs/cgroup/unified'],
    ['0::/docker/abc/sub', mount('/docker/abc', '/sys/fs/cgroup'), '/sys/fs/cgroup/sub'],
    ['0::/docker/abc', mount('/docker/abc', '/cg\\040roups'), '/cg roups'],
    ['0::/elsewhere', mount('/docker/abc', '/sys/fs/cgroup'), null],
    ['4:memory:/x', mount('/x', '/sys/fs/cgroup/memory', 'cgroup'), null],
    ['0::/x', disk, null],
    ['', '', null],
  ])('of %j in %j is %j', (membership, mountinfo, folder) =>
    expect(cgroupFolder(membership, `${disk}\n${mountinfo}\n`)).toBe(folder),
  );
});

describe('the folder of a control group of version 1 that counts memory', () => {
  const v1 = (root: string, point: string, options: string) =>
    `35 31 0:32 ${root} ${point} rw,relatime shared:4 - cgroup cgroup ${options}`;
  const memory = v1('/', '/sys/fs/cgroup/memory', 'rw,memory');
  it.each([
    ['5:devices:/\n4:memory:/a/b\n0::/', memory, '/sys/fs/cgroup/memory/a/b'],
    ['4:cpu,memory:/a', v1('/', '/cg', 'rw,cpu,memory'), '/cg/a'],
    ['4:memory,cpu:/a', v1('/', '/cg', 'rw,memory,cpu'), '/cg/a'],
    ['4:memory:/docker/abc', v1('/docker/abc', '/sys/fs/cgroup/memory', 'ro,memory'), '/sys/fs/cgroup/memory'],
    ['4:memory:/a', `${v1('/', '/cpu', 'rw,cpu')}\n${memory}`, '/sys/fs/cgroup/memory/a'],
    ['9:name=memory-ish:/a', memory, null],
    ['4:memory:/a', v1('/', '/cpu', 'rw,cpu'), null],
    ['0::/a', mount('/', '/sys/fs/cgroup'), null],
    ['', '', null],
  ])('of %j in %j is %j', (membership, mountinfo, folder) =>
    expect(folderV1('memory', membership, `${disk}\n${mountinfo}\n`)).toBe(folder),
  );
});
