import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Json } from '#contracts/driver';
import type { StateStore } from '#contracts/state';
import { fakeClock } from '#kernel/clock.fake';
import { planOffline } from './plan.ts';

const MiB = 2 ** 20;
const definition = (id: string, memory: string, more = '') => `id: ${id}
name: ${id}
summary: A service for tests
category: tool
run: { process: { command: [node, x.js, '{port}'] } }
health: { tcp: true }
resources: { memory: ${memory} }
${more}`;

let home: string;
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'sutaz-plan-'));
  await mkdir(join(home, 'catalog/services'), { recursive: true });
  await define('web', '100MiB', 'needs: [store]\n');
  await define('store', '50MiB');
  await define('big', '700MiB');
});
afterEach(() => rm(home, { recursive: true }));

const define = (id: string, memory: string, more?: string) =>
  writeFile(join(home, `catalog/services/${id}.yaml`), definition(id, memory, more));

function remembered(rows: Readonly<Record<string, Readonly<Record<string, Json>>>>) {
  let closed = 0;
  const table = <T extends Json>(name: string) => ({
    get: (key: string) => (rows[name]?.[key] as T | undefined) ?? null,
    put: () => undefined,
    delete: () => undefined,
    list: () => Object.entries(rows[name] ?? {}).map(([key, value]) => ({ key, value: value as T })),
  });
  const openState = async (): Promise<StateStore> => ({ table, close: async () => void closed++ });
  return { openState, closed: () => closed };
}

const plan = (names: readonly string[], limitMiB: number | null, { openState } = remembered({})) =>
  planOffline({
    ...{ home, names, openState, clock: fakeClock(), env: {}, limitBytes: limitMiB === null ? null : limitMiB * MiB },
    builtIn: join(import.meta.dirname, '../catalog'),
  });

describe('a plan without a platform', () => {
  it('counts what the definitions say, with what they need, and makes nothing', async () => {
    const told = await plan(['web'], 200);
    expect(told).toMatchObject({
      verdict: 'together',
      totalBytes: 150 * MiB,
      spareBytes: 50 * MiB,
      limitReason: 'asked for',
    });
    expect(told.units.map(({ id }) => id)).toEqual(['service/web', 'service/store']);
    expect(await readdir(home)).toEqual(['catalog']);
  });

  it('counts what earlier runs learned, what they pinned, and what the configuration says', async () => {
    await writeFile(join(home, 'state.db'), '');
    await writeFile(join(home, 'sutaz.yaml'), 'memory: { limit: 900MiB }\nservices: { big: { memory: 800MiB } }\n');
    const state = remembered({
      learned: { 'service/web': { bytes: 130 * MiB, startMs: null } },
      pins: { 'service/store': true, 'service/gone': true },
    });
    const told = await plan(['web', 'big'], null, state);
    expect(told).toMatchObject({ verdict: 'in-turns', limitBytes: 900 * MiB, totalBytes: 980 * MiB });
    expect(told.units.map(({ id, stays, bytes }) => [id, stays, bytes.reserved / MiB])).toEqual([
      ['service/web', null, 130],
      ['service/store', 'pinned', 50],
      ['service/big', null, 800],
    ]);
    expect(state.closed()).toBe(1);
  });

  it('knows models by their alias, from their definitions until they are here', async () => {
    const { units } = await plan(['default', 'smollm2:135m'], 4_000);
    expect(units.map(({ id }) => id)).toEqual(['model/smollm2:135m']);
    expect(units[0]?.estimated).toBe(true);
    expect(units[0]?.bytes.declared).toBeGreaterThan(90 * MiB);
  });

  it('says what it does not know, what cannot run here, and what is wrong with the configuration', async () => {
    await expect(plan(['wbe'], null)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      message: expect.stringContaining('web'),
    });
    await writeFile(join(home, 'sutaz.yaml'), 'services: { store: { enabled: false } }\n');
    await expect(plan(['web'], null)).rejects.toMatchObject({
      ...{
        code: 'CONFLICT',
        message: 'service/web needs service/store, which cannot run here: it is switched off in sutaz.yaml',
      },
    });
    await writeFile(join(home, 'sutaz.yaml'), 'memroy: { limit: 1GiB }\n');
    await expect(plan(['big'], null)).rejects.toMatchObject({
      code: 'BAD_REQUEST',
      message: expect.stringContaining('memory'),
    });
  });
});
