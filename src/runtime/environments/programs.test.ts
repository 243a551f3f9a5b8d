import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { isOnPath } from './programs.ts';

it('finds what can be run by its name, and nothing else of that name', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'sutaz-path-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = ['/nowhere', folder].join(delimiter);
  expect(await isOnPath('server', path)).toBe(false);
  await writeFile(join(folder, 'server'), '');
  expect(await isOnPath('server', path)).toBe(false);
  await chmod(join(folder, 'server'), 0o755);
  expect(await isOnPath('server', path)).toBe(true);
  await mkdir(join(folder, 'folder'));
  expect(await isOnPath('folder', path)).toBe(false);
  expect(await isOnPath('server')).toBe(false);
});
