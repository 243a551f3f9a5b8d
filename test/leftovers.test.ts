import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { endLeftovers, noteHome, notedHomes } from './_leftovers.ts';
import { exited, until } from './_processes.ts';
import { processesOf } from './fixtures/holders.ts';

let folder: string;
const started: ChildProcess[] = [];
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'sutaz-leftovers-'))));
afterEach(async () => {
  for (const child of started.splice(0)) child.kill('SIGKILL');
  await rm(folder, { recursive: true });
});

const waits = 'setTimeout(() => {}, 60_000)';
function run(argv: readonly string[], env: Readonly<Record<string, string>> = {}): number {
  const child = spawn(process.execPath, argv, { stdio: 'ignore', env });
  started.push(child);
  return child.pid as number;
}
const instance = (home: string) =>
  run(['-e', waits], { HOME: join(home, 'services', 'x'), SUTAZ_INSTANCE: `i-${started.length}` });
const seen = (home: string) => processesOf(home).map(({ pid }) => pid);

it('ends the platform and the instances of its home, a suspended one too, and nothing of another home', async () => {
  const [home, other] = [join(folder, 'home'), join(folder, 'home2')];
  const platform = run(['-e', waits, '--', 'up', '--home', home]);
  const [one, frozen, foreign] = [instance(home), instance(home), instance(other)];
  const neighbour = run(['-e', waits, '--', 'up', '--home', other]);
  await until(() => seen(home).length === 2 && seen(other).length === 1, 'the processes to be there');
  process.kill(frozen, 'SIGSTOP');
  expect((await endLeftovers(home)).sort()).toEqual([platform, one, frozen].sort());
  expect([platform, one, frozen].every(exited)).toBe(true);
  expect([foreign, neighbour].some(exited)).toBe(false);
  expect(await endLeftovers(home)).toEqual([]);
});

it('knows the homes of the run, each once', async () => {
  await noteHome(folder, '/a');
  await noteHome(folder, '/b');
  await noteHome(folder, '/a');
  expect(await notedHomes(folder)).toEqual([folder, '/a', '/b']);
});
