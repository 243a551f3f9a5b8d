import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { whyNotReached } from '#runtime/sandbox/reach';
import { whyNoUsers } from '#runtime/sandbox/users';
import { confinementHere } from './confinement.ts';

const first = 70_000;
const noUsers = await whyNoUsers(first);
const noNode = await whyNotReached(process.execPath, { uid: first, gid: first, groups: [first] });

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sutaz-confinement-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a home that is not made yet gets users where its place is open', async () => {
  chmodSync(folder, 0o755);
  const found = await confinementHere(join(folder, 'not', 'yet'), first);
  expect(found.noUsers).toBe(noUsers ?? noNode);
  expect(['cgroup', 'rlimit']).toContain(found.memory);
});

test('regression: a home below a file ended the whole check instead of being told of', async () => {
  await expect(confinementHere(join(process.execPath, 'not', 'yet'), first)).resolves.toHaveProperty('noUsers');
});

test.skipIf(noUsers !== null)(
  'a closed place is named, behind a link too, whether the home exists or not',
  async () => {
    chmodSync(folder, 0o755);
    const closed = mkdtempSync(join(folder, 'closed-'));
    const link = join(folder, 'link');
    symlinkSync(closed, link);
    for (const home of [join(closed, 'home'), join(link, 'not', 'yet')])
      expect((await confinementHere(home, first)).noUsers).toContain(`${closed} is closed to other users`);
  },
);

test.skipIf(noUsers !== null)('a home that is closed itself is opened to services, and so is no obstacle', async () => {
  chmodSync(folder, 0o755);
  expect((await confinementHere(mkdtempSync(join(folder, 'home-')), first)).noUsers).toBe(noNode);
});
