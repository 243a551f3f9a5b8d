import { describe, expect, test } from 'vitest';
import { processMark } from '#kernel/process-mark';
import { homePaths, isAlive, isRunning, resolveHome } from './home.ts';

const machine = { env: {}, platform: 'linux', homedir: '/home/a', cwd: '/here' } as const;

describe('the home folder', () => {
  test.each([
    ['the data folder on Linux', machine, undefined, '/home/a/.local/share/sutaz'],
    [
      'the data folder on macOS',
      { ...machine, platform: 'darwin' as const },
      undefined,
      '/home/a/Library/Application Support/sutaz',
    ],
    ['XDG_DATA_HOME', { ...machine, env: { XDG_DATA_HOME: '/data' } }, undefined, '/data/sutaz'],
    [
      'a relative XDG_DATA_HOME is ignored',
      { ...machine, env: { XDG_DATA_HOME: 'data' } },
      undefined,
      '/home/a/.local/share/sutaz',
    ],
    ['SUTAZ_HOME before it', { ...machine, env: { XDG_DATA_HOME: '/data', SUTAZ_HOME: '/s' } }, undefined, '/s'],
    ['a relative SUTAZ_HOME', { ...machine, env: { SUTAZ_HOME: 's' } }, undefined, '/here/s'],
    ['an empty SUTAZ_HOME is none', { ...machine, env: { SUTAZ_HOME: '' } }, undefined, '/home/a/.local/share/sutaz'],
    ['--home before everything', { ...machine, env: { SUTAZ_HOME: '/s' } }, 'h', '/here/h'],
  ])('%s', (_, given, asked, expected) => expect(resolveHome(given, asked)).toBe(expected));
});

test('the key has a place of its own', () => expect(homePaths('/h').keyFile).toBe('/h/keys/admin.key'));

test('a process that is not there is not alive', () => {
  expect(isAlive(process.pid)).toBe(true);
  expect(isAlive(2 ** 30)).toBe(false);
});

test('regression: a process that got the number of one that was killed is not the platform', () => {
  const { pid } = process;
  const mark = processMark(pid);
  expect(isRunning({ pid, mark })).toBe(true);
  expect(isRunning({ pid })).toBe(true);
  expect(isRunning({ pid: 2 ** 30, mark })).toBe(false);
  if (mark !== null) expect(isRunning({ pid, mark: `${mark}0` })).toBe(false);
});
