import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { openHome, readMaybe, writeWhole } from './home.ts';

let folder: string;
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'sutaz-home-'))));
afterEach(() => rm(folder, { recursive: true }));

const facts = { url: 'http://127.0.0.1:1', pid: 7, startedAt: '', version: '0', mark: null };

it('is for one platform at a time, and the next one gets it', async () => {
  const home = await openHome(folder);
  await home.announce(facts);
  expect((await stat(join(folder, 'platform.json'))).mode & 0o777).toBe(0o600);
  await expect(openHome(folder)).rejects.toMatchObject({ code: 'CONFLICT', details: { url: facts.url, pid: 7 } });
  await home.release();
  expect(await readdir(folder)).not.toContain('platform.json');
  await (await openHome(folder)).release();
});

it('regression: an announcement that cannot be read is no other error than the conflict', async () => {
  const home = await openHome(folder);
  await writeFile(join(folder, 'platform.json'), '{');
  await expect(openHome(folder)).rejects.toMatchObject({ code: 'CONFLICT', details: {} });
  await home.release();
});

it('writes a file whole or not at all', async () => {
  const path = join(folder, 'file');
  await writeWhole(path, 'one', 0o600);
  await expect(writeWhole(join(folder, 'none', 'file'), 'two', 0o600)).rejects.toThrow();
  expect([await readMaybe(path), await readMaybe(join(folder, 'other'))]).toEqual(['one', null]);
  expect((await readdir(folder)).filter((name) => name.endsWith('.new'))).toEqual([]);
  expect(await readFile(path, 'utf8')).toBe('one');
});
