/** What the platform says of its reasons, beside what it really did. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { ApiAccount, ApiPlan, ApiSavings, ApiWhy } from '#contracts/explanations';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';

let home: string;
let platform: TestPlatform;
beforeAll(async () => void (home = await mkdtemp(join(tmpdir(), 'sutaz-explanations-'))));
afterEach(() => platform.stop());
afterAll(() => rm(home, { recursive: true, force: true }));

const MiB = 2 ** 20;
const services = ['one', 'two', 'three'];
const catalog = Object.fromEntries(
  services.map((id) => [`services/${id}.yaml`, echoService(id, { memory: '100MiB', dir: join(root, 'test') })]),
);
/** Room for two of three. */
const start = async (): Promise<void> => {
  platform = await startPlatform({ home, catalog, memory: '250MiB', config: 'scheduler: { minResidency: 100ms }' });
};
const said = async <T>(path: string) => (await (await platform.fetch(`/sutaz/v1/${path}`)).json()) as T;
const wake = async (id: string) => expect((await platform.fetch(`/services/${id}/`)).status).toBe(200);
/** Waits until the unit may be put to sleep again to make room, or was. */
const yields = (id: string) =>
  expect.poll(async () => (await said<ApiWhy>(`units/${id}/why`)).facts?.evictable, patience).toBe(true);
const patience = { timeout: 10_000 };

const execute = promisify(execFile);
/** The command line on this home; resolves with its exit code and what it printed. */
async function sutaz(...words: string[]): Promise<readonly [number, string]> {
  const argv = ['--conditions=source', '--disable-warning=ExperimentalWarning', join(root, 'src/cli.ts'), ...words];
  try {
    return [0, (await execute(process.execPath, [...argv, '--home', home])).stdout];
  } catch (error) {
    const { code, stdout } = error as { code: number; stdout: string };
    return [code, stdout];
  }
}

it('an eviction is explained by what was compared, and the way back by what would stop', async () => {
  await start();
  for (const id of ['one', 'two', 'three']) {
    await wake(id);
    await yields(id);
  }
  const { units, chargedBytes, limitBytes } = await said<ApiAccount>('ledger');
  expect([chargedBytes, limitBytes]).toEqual([200 * MiB, 250 * MiB]);
  const gone = units.find(({ reason }) => reason.code === 'evicted');
  expect(gone?.reason).toMatchObject({ for: 'service/three', bytes: 100 * MiB });
  expect(gone?.reason.sums?.map(({ unit }) => unit).sort()).toEqual(['service/one', 'service/two']);
  const name = (gone?.id ?? '').slice('service/'.length);
  const { outlook } = await said<ApiWhy>(`units/${name}/why`);
  expect(outlook).toMatchObject({ need: 100 * MiB, free: 50 * MiB, fits: 'after-evictions', blockedBy: [] });
  const [code, text] = await sutaz('why', name);
  expect(code).toBe(0);
  expect(text).toContain('Compared to make room for three');
  await wake(name);
  const after = await said<ApiAccount>('ledger');
  const evicted = after.units.find(({ id }) => id === outlook?.wouldStop[0]?.unit);
  expect(evicted?.reason).toMatchObject({ code: 'evicted', for: `service/${name}` });
});

it('a plan says the same with a platform and without', async () => {
  await start();
  const [turns, asked] = await sutaz('plan', '--json', ...services);
  expect([turns, (await sutaz('plan', 'one', 'two'))[0]]).toEqual([5, 0]);
  const { units, verdict } = await said<ApiPlan>('plan?unit=one&unit=two&unit=three');
  expect(verdict).toBe('in-turns');
  expect(units.filter(({ sleeps }) => sleeps)).toHaveLength(1);
  await platform.stop();
  const [offline, text] = await sutaz('plan', '--json', '--memory', '250MiB', ...services);
  const { limitReason: _one, ...before } = JSON.parse(asked) as ApiPlan;
  const { limitReason: _two, ...then } = JSON.parse(text) as ApiPlan;
  expect(offline).toBe(5);
  expect(then.units.map(({ bytes }) => bytes)).toEqual(before.units.map(({ bytes }) => bytes));
  expect({ ...then, units: [] }).toEqual({ ...before, units: [] });
});

it('savings are kept over a restart', async () => {
  await start();
  await wake('one');
  const before = await said<ApiSavings>('savings');
  expect(before.units.map(({ id }) => id)).toContain('service/one');
  await platform.stop();
  await start();
  const after = await said<ApiSavings>('savings');
  expect([after.since, after.starts]).toEqual([before.since, before.starts]);
  expect(after.uptimeMs).toBeGreaterThan(before.uptimeMs);
  // Asleep it spares all it would hold, from the first moment on.
  expect(after.alwaysOnBytes).toBeGreaterThanOrEqual(100 * MiB);
  expect(after.heldBytes).toBe(0);
  const spared = async () => (await said<ApiSavings>('savings')).sparedByteSeconds;
  await expect.poll(spared, patience).toBeGreaterThan(after.sparedByteSeconds);
  const metrics = await (await platform.fetch('/metrics')).text();
  expect(Number(/^sutaz_memory_spared_byte_seconds (\S+)$/m.exec(metrics)?.[1])).toBeGreaterThan(0);
  // Regression: what reads rates takes a counter by its type, and people by its name.
  const types = [...metrics.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type]) => ({ name, type }));
  expect(types.filter(({ name, type }) => name.endsWith('_total') !== (type === 'counter'))).toEqual([]);
});
