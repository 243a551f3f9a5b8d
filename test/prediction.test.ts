/** What usually comes next is awake before it is asked for, also after a restart. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { ApiAccount, ApiWhy } from '#contracts/explanations';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';

let home: string;
let platform: TestPlatform;
beforeAll(async () => void (home = await mkdtemp(join(tmpdir(), 'sutaz-prediction-'))));
afterEach(() => platform.stop());
afterAll(() => rm(home, { recursive: true, force: true }));

const catalog = Object.fromEntries(
  ['planner', 'coder'].map((id) => [
    `services/${id}.yaml`,
    echoService(id, { memory: '100MiB', dir: join(root, 'test') }),
  ]),
);
const start = async (config = ''): Promise<void> => {
  platform = await startPlatform({ home, catalog, memory: '1GiB', config });
};
const patience = { timeout: 20_000 };
const said = async <T>(path: string) => (await (await platform.fetch(`/sutaz/v1/${path}`)).json()) as T;
const use = async (id: string) => expect((await platform.fetch(`/services/${id}/`)).status).toBe(200);
const why = (id: string) => said<ApiWhy>(`units/${id}/why`);
const prediction = async () => (await said<ApiAccount>('ledger')).prediction;

it('wakes the second of two that are used one after the other', async () => {
  await start();
  for (const id of ['planner', 'coder', 'planner', 'coder']) await use(id);
  expect(await prediction()).toMatchObject({ on: true, hits: 0, misses: 0, expected: [] });
  await platform.stop();
  await start();
  await use('planner');
  await expect.poll(async () => (await why('coder')).unit.state, patience).toBe('ready');
  expect((await why('coder')).facts?.reason).toMatchObject({ code: 'expected', because: 'follows' });
  await use('coder');
  const { hits, misses, byteSeconds } = await prediction();
  expect([hits, misses]).toEqual([1, 0]);
  expect(byteSeconds).toBeGreaterThan(0);
  const metrics = await (await platform.fetch('/metrics')).text();
  expect(metrics).toContain('sutaz_prewarm_total{outcome="hit"} 1');
});

it('does not with `scheduler.prediction: false`', async () => {
  await start('scheduler: { prediction: false }');
  await use('planner');
  expect(await prediction()).toMatchObject({ on: false, hits: 0, expected: [] });
  expect((await why('coder')).unit.state).toBe('cold');
});
