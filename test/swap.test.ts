import { afterEach, expect, it } from 'vitest';
import type { ApiEvent, ApiLedgerLines } from '#contracts/api';
import { followEvents, startPlatform, twinModel } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { exited, until } from './_processes.ts';

let platform: TestPlatform;
afterEach(async () => void (await platform.stop()));

const config = 'models: { context: 1024, slots: 1 }\nscheduler: { minResidency: 0ms }\n';
const catalog = { 'models/twin.yaml': twinModel() };

async function chat(model: string, tokens = 8): Promise<string> {
  const body = JSON.stringify({
    model,
    stream: true,
    max_tokens: tokens,
    messages: [{ role: 'user', content: 'Hello there' }],
  });
  return (await platform.fetch('/v1/chat/completions', { method: 'POST', body })).text();
}

it('two models under a limit that fits one are both served, each swap told, the ledger never above the limit', async () => {
  platform = await startPlatform({ config, catalog, memory: '480MiB' });
  const events = followEvents(platform);
  const ledgers: ApiLedgerLines[] = [];
  let watching = true;
  const look = async () => {
    ledgers.push((await (await platform.fetch('/sutaz/v1/ledger')).json()) as ApiLedgerLines);
    return !watching;
  };
  const watch = until(look, 'the models to be served', 100_000);
  // Both at once: the second waits until the first has ended, and neither stream is cut.
  const both = await Promise.all([chat('smollm2:135m', 40), chat('twin:135m', 40)]);
  for (const text of both) expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true);
  for (const model of ['smollm2:135m', 'twin:135m']) expect(await chat(model)).toContain('data: [DONE]');
  watching = false;
  await watch;
  const evicted = () => events.seen.filter(({ event, data }) => event === 'log' && (data as ApiEvent).type === 'evict');
  await until(() => evicted().length >= 2, 'the swaps to be told');
  await events.stop();
  for (const { reservedBytes, limitBytes } of ledgers) expect(reservedBytes).toBeLessThanOrEqual(limitBytes);
  expect(ledgers.some(({ lines }) => lines.some(({ reserved }) => reserved > 250 * 2 ** 20))).toBe(true);
});

it('a model larger than the limit is refused with the bytes on both sides', async () => {
  platform = await startPlatform({ config, memory: '100MiB' });
  const body = JSON.stringify({ model: 'smollm2:135m', messages: [{ role: 'user', content: 'Hi' }] });
  const response = await platform.fetch('/v1/chat/completions', { method: 'POST', body });
  expect(response.status).toBe(503);
  const { error } = (await response.json()) as { error: { message: string; code: string } };
  expect(error.code).toBe('no_memory');
  expect(error.message).toMatch(/needs [\d.]+ MiB \(\d{9} bytes\) and the limit is 100 MiB \(104857600 bytes\)/);
});

it('a model survives the platform that is killed in the middle of its stream, and can be removed once it sleeps', async () => {
  platform = await startPlatform({ config, catalog });
  const body = JSON.stringify({
    model: 'twin:135m',
    stream: true,
    max_tokens: 800,
    messages: [{ role: 'user', content: 'Write a story' }],
  });
  const stream = (await platform.fetch('/v1/chat/completions', { method: 'POST', body })).body?.getReader();
  await until(async () => Buffer.from((await stream?.read())?.value ?? []).includes('content'), 'the first token');
  const pid = (await platform.unit('twin:135m')).instance?.pid ?? 0;
  await platform.kill9();
  expect(exited(pid)).toBe(false);
  platform = await startPlatform({ config, catalog });
  expect((await platform.unit('twin:135m')).instance?.pid).toBe(pid);
  expect(await chat('twin:135m')).toContain('data: [DONE]');
  expect((await platform.unit('twin:135m')).instance?.pid).toBe(pid);
  const remove = () => platform.fetch('/sutaz/v1/models/twin%3A135m', { method: 'DELETE' });
  expect((await remove()).status).toBe(409);
  expect((await platform.fetch('/sutaz/v1/units/twin%3A135m/stop', { method: 'POST' })).status).toBe(200);
  await platform.untilState('twin:135m', 'cold');
  expect(exited(pid)).toBe(true);
  expect((await remove()).status).toBe(204);
  const pull = await platform.fetch('/sutaz/v1/models/twin%3A135m/pull', { method: 'POST' });
  expect(await pull.text()).toMatch(/^event: progress\ndata: \{"phase":[\s\S]*\n\nevent: done\n/);
  expect((await remove()).status).toBe(204);
  // Removed, and asked for all the same: it is fetched again on the way.
  expect(await chat('twin:135m')).toContain('data: [DONE]');
  const { instance } = await platform.unit('twin:135m');
  expect(await platform.stop()).toBe(0);
  expect(exited(instance?.pid ?? process.pid)).toBe(true);
});
