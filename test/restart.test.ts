import { readdirSync, readFileSync } from 'node:fs';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, it } from 'vitest';
import { echoService, root, startPlatform, testHome } from './_platform.ts';
import { exited, until } from './_processes.ts';

const dir = `${root}test`;

/** Processes that an instance of this home started: each carries the instance's mark, and lives in the home. */
function instancesOf(home: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const env = readFileSync(`/proc/${pid}/environ`, 'utf8');
        return env.includes('SUTAZ_INSTANCE=') && env.includes(home);
      } catch {
        return false;
      }
    });
}

it('a platform that was killed takes over what it left, with its process, and leaves nothing when it stops', async () => {
  const catalog = {
    'services/kept.yaml': echoService('kept', { dir }),
    'services/orphan.yaml': echoService('orphan', { dir }),
    'services/died.yaml': echoService('died', { dir }),
  };
  const before = await startPlatform({ catalog });
  for (const name of ['kept', 'orphan', 'died']) expect((await before.fetch(`/services/${name}/x`)).status).toBe(200);
  const pid = async (name: string, platform = before) => (await platform.unit(name)).instance?.pid ?? 0;
  const pids = { kept: await pid('kept'), orphan: await pid('orphan'), died: await pid('died') };
  const stream = (await before.fetch('/services/kept/sse?count=1000&every=20')).body?.getReader();
  await stream?.read();
  await before.kill9();
  const broken = async () => {
    while (!(await stream?.read())?.done);
  };
  await expect(broken()).rejects.toThrow();
  expect(exited(pids.kept)).toBe(false);
  process.kill(pids.died, 'SIGKILL');
  const { 'services/orphan.yaml': _gone, ...rest } = catalog;

  const after = await startPlatform({ catalog: rest });
  try {
    expect(await after.unit('kept')).toMatchObject({ state: 'ready', why: expect.stringContaining('idle') });
    expect(await pid('kept', after)).toBe(pids.kept);
    expect(((await (await after.fetch('/services/kept/x')).json()) as { pid: number }).pid).toBe(pids.kept);
    expect(await after.unit('died')).toMatchObject({ state: 'cold', instance: null });
    await until(() => exited(pids.orphan), 'the instance without a definition to be ended');
    expect(after.key).toBe(before.key);
    // The stream's client is gone: the request it held at the service has ended with the old platform.
    expect((await after.unit('kept')).leases).toBe(0);
  } finally {
    expect(await after.stop()).toBe(0);
  }
  expect(exited(pids.kept)).toBe(true);
  expect(instancesOf(testHome())).toEqual([]);
  await expect(access(join(testHome(), 'platform.json'))).rejects.toThrow();
  await expect(fetch(after.url)).rejects.toThrow();
});

it('a record without a process, as a platform leaves that dies in the middle of a start, is simply cold', async () => {
  const catalog = { 'services/half.yaml': echoService('half', { dir }) };
  await (await startPlatform({ catalog })).stop();
  const db = new DatabaseSync(join(testHome(), 'state.db'));
  const record = { id: 'i-0', unit: 'service/half', handle: null, host: '127.0.0.1', port: 1, key: 'k', startedAt: '' };
  db.prepare("INSERT OR REPLACE INTO state (tab, key, value) VALUES ('instances', 'service/half', ?)").run(
    JSON.stringify(record),
  );
  db.close();
  const platform = await startPlatform({ catalog });
  try {
    expect((await platform.unit('half')).state).toBe('cold');
    expect((await platform.fetch('/services/half/x')).status).toBe(200);
  } finally {
    await platform.stop();
  }
});
