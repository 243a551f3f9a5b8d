import { lchown, link, mkdir, mkdtemp, rename, rm, stat, symlink, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { foreignIn, giveTo } from './ownership.ts';

const self = process.getuid?.() ?? 0;
let root: string;
let folder: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'sutaz-ownership-'));
  folder = join(root, 'data');
  await mkdir(join(folder, 'deep'), { recursive: true });
  await writeFile(join(folder, 'deep', 'file'), '');
});
afterEach(() => rm(root, { recursive: true }));

describe('what is found in a folder', () => {
  it('is nobody else’s where all of it is the user’s, and is named else', async () => {
    expect(await foreignIn(folder, self)).toBeNull();
    expect(await foreignIn(folder, self + 1)).toEqual({ path: folder, uid: self });
  });

  it.skipIf(self !== 0)('is looked for below, too', async () => {
    await lchown(join(folder, 'deep', 'file'), 70_001, 70_001);
    expect(await foreignIn(folder, 0)).toEqual({ path: join(folder, 'deep', 'file'), uid: 70_001 });
  });
});

describe.skipIf(self !== 0)('a folder that is given away', () => {
  it('goes with all in it, and with nothing that it leads to or shares', async () => {
    await writeFile(join(root, 'outside'), '');
    await symlink(join(root, 'outside'), join(folder, 'leads'));
    await link(join(root, 'outside'), join(folder, 'shared'));
    await giveTo(folder, 70_001, 70_002);
    for (const path of [folder, join(folder, 'deep'), join(folder, 'deep', 'file')]) {
      expect(await stat(path)).toMatchObject({ uid: 70_001, gid: 70_002 });
    }
    expect(await stat(join(root, 'outside'))).toMatchObject({ uid: 0 });
  });

  it('goes whole also where its own name is a link', async () => {
    await symlink(folder, join(root, 'elsewhere'));
    await giveTo(join(root, 'elsewhere'), 70_001);
    expect(await stat(join(folder, 'deep', 'file'))).toMatchObject({ uid: 70_001 });
  });

  it('regression: takes nothing along that a link leads to which comes in a folder’s place meanwhile', async () => {
    const [outside, deep, aside] = [join(root, 'outside'), join(folder, 'deep'), join(root, 'aside')];
    await mkdir(outside);
    await writeFile(join(outside, 'secret'), '');
    let swaps = 0;
    let over = false;
    const swapping = (async () => {
      for (; !over; swaps++) {
        await rename(deep, aside);
        await symlink(outside, deep);
        await unlink(deep);
        await rename(aside, deep);
      }
    })();
    for (let i = 0; i < 300; i++) await giveTo(folder, 70_001);
    over = true;
    await swapping;
    expect(swaps).toBeGreaterThan(0);
    for (const path of [outside, join(outside, 'secret')]) expect(await stat(path)).toMatchObject({ uid: 0 });
  });
});
