/** A service that really holds 300 MB, frozen and thawed through the door. `bench/freezing.ts` measures how fast. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { ApiLedgerLines } from '#contracts/api';
import { startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { isFrozen, until } from './_processes.ts';
import { holderService, processesOf } from './fixtures/holders.ts';

const MiB = 2 ** 20;
let home: string;
let platform: TestPlatform | undefined;
beforeEach(async () => void (home = await mkdtemp(join(tmpdir(), 'sutaz-freezing-'))));
afterEach(async () => {
  await platform?.stop();
  expect(processesOf(home)).toEqual([]);
  await rm(home, { recursive: true, force: true });
});

async function start(flags: readonly (string | number)[]): Promise<TestPlatform> {
  const idle = { after: '500ms', rung: 'frozen' } as const;
  const frost = holderService({ id: 'frost', memory: '400MiB', flags, idle });
  platform = await startPlatform({ home, memory: '800MiB', catalog: { 'services/frost.yaml': frost } });
  return platform;
}

const pids = () => processesOf(home).map(({ pid }) => pid);
/** A letter a process: `T` is frozen, `S` runs or waits. */
const states = () =>
  pids()
    .map((pid) => (isFrozen(pid) ? 'T' : 'S'))
    .join('');
/** A signal takes a moment to reach a process that waits for its turn on a core. */
const untilStates = (wanted: string) => until(() => states() === wanted, `the processes to be ${wanted}`, 2_000);

it('a frozen service of 300 MB is stopped, keeps its memory, and answers as the same process within 250 ms', async () => {
  const { fetch, untilState } = await start(['--hold', 300]);
  const holds = async () => (await (await fetch('/services/frost/hold')).json()) as Record<string, unknown>;
  const before = await holds();
  expect(before).toMatchObject({ heldMegabytes: 300 });
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    await untilState('frost', 'frozen');
    await untilStates('T');
    const began = performance.now();
    const after = await holds();
    times.push(performance.now() - began);
    expect(after).toEqual(before);
    expect(states()).not.toContain('T');
  }
  expect(times.sort((a, b) => a - b)[1]).toBeLessThan(250);
});

it('what a frozen service started is frozen and thawed with it, and the ledger holds what it is seen to use', async () => {
  const { fetch, untilState } = await start(['--hold', 100, '--fork', 2, '--child-hold', 60]);
  await fetch('/services/frost/hold');
  await untilState('frost', 'frozen');
  await untilStates('TTT');
  const line = async () => ((await (await fetch('/sutaz/v1/ledger')).json()) as ApiLedgerLines).lines[0];
  await until(async () => ((await line())?.measured ?? 0) > 220 * MiB, 'the frozen ones to be measured');
  expect(await line()).toMatchObject({ id: 'service/frost', state: 'frozen' });
  expect((await fetch('/services/frost/work?ms=0')).status).toBe(200);
  expect(states()).toMatch(/^[^T]{3}$/);
});

it('one that says nothing of its rung is frozen once to see what it keeps, then stopped where that is not worth it', async () => {
  const idle = { after: '1s', rung: 'auto' } as const;
  const hasty = holderService({ id: 'hasty', memory: '64MiB', idle, extra: 'priority: 0' });
  platform = await startPlatform({ home, memory: '800MiB', catalog: { 'services/hasty.yaml': hasty } });
  const { fetch, unit, untilState } = platform;
  await fetch('/services/hasty/hold');
  const frozen = await untilState('hasty', 'frozen');
  expect(frozen.why).toContain('nobody used it for');
  await untilState('hasty', 'cold');
  await fetch('/services/hasty/hold');
  expect((await unit('hasty')).why).toMatch(/busy|stops after/);
  await until(async () => (await unit('hasty')).why.includes('stops after'), 'its next sleep to be known');
  expect((await untilState('hasty', 'frozen', 'stopping', 'cold')).state).not.toBe('frozen');
});
