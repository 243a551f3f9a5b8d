/** Models that compute take turns where they have more threads together than there are cores. */
import { availableParallelism } from 'node:os';
import { afterEach, expect, it } from 'vitest';
import type { ApiAccount } from '#contracts/explanations';
import { startPlatform, twinModel } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

let platform: TestPlatform;
afterEach(async () => void (await platform.stop()));

const cores = availableParallelism();
const config = `models: { context: 1024, slots: 1, threads: ${cores} }\n`;

const chat = (model: string, tokens: number, signal?: AbortSignal): Promise<Response> =>
  platform.fetch('/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({ model, max_tokens: tokens, messages: [{ role: 'user', content: 'Write a story' }] }),
    ...(signal && { signal }),
  });

it('a model whose threads do not fit beside those of a busy one waits for its turn, is told why, and then has it', async () => {
  platform = await startPlatform({ config, catalog: { 'models/twin.yaml': twinModel() } });
  for (const model of ['smollm2:135m', 'twin:135m']) expect((await chat(model, 1)).status).toBe(200);
  const leaving = new AbortController();
  const long = chat('smollm2:135m', 900, leaving.signal).catch(() => null);
  const busy = async () => (await platform.unit('smollm2:135m')).leases === 1;
  await until(busy, 'the first model to be busy');
  const other = chat('twin:135m', 1);
  const account = async () => (await (await platform.fetch('/sutaz/v1/ledger')).json()) as ApiAccount;
  await until(async () => (await account()).threads?.waiting.length === 1, 'the second one to wait for cores');
  expect((await account()).threads).toEqual({ total: cores, busy: cores, waiting: ['model/twin:135m'] });
  const { why, state, leases, waiters, progress } = await platform.unit('twin:135m');
  expect({ state, leases, waiters }).toEqual({ state: 'ready', leases: 0, waiters: 1 });
  expect(why).toMatch(/^waits for the processor: computes with \d+ threads?, and \d+ of \d+ are busy$/);
  expect(progress?.phase).toBe('queued');
  leaving.abort();
  await long;
  expect((await other).status).toBe(200);
});
