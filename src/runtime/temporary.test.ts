import { mkdir, mkdtemp, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { RuntimeDriver } from '#contracts/runtime';
import { newInstanceId, unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import { makeTemporary, removeTemporaries, temporaryOf } from './temporary.ts';

type Listener = Parameters<RuntimeDriver['onExit']>[0];

async function setup() {
  const home = await mkdtemp(join(tmpdir(), 'sutaz-temporary-'));
  onTestFinished(() => rm(home, { recursive: true }));
  const listeners = new Set<Listener>();
  const onExit = (listener: Listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const temporaries = removeTemporaries({ onExit }, home, silentLogger);
  const ended = (id: ReturnType<typeof newInstanceId>) => {
    const handle = { driver: 'fake', version: 1, id, unit: unitId('service', 'x'), state: null };
    for (const listener of listeners) listener(handle, { state: 'exited', code: 0, signal: null, oomKilled: false });
  };
  return { home, temporaries, ended, listeners };
}

it('goes with its instance, all that is in it, and what a link in it leads to stays', async () => {
  const { home, temporaries, ended, listeners } = await setup();
  const [one, other] = [newInstanceId(), newInstanceId()];
  for (const id of [one, other]) await makeTemporary(temporaryOf(home, id));
  await mkdir(join(home, 'kept'));
  await writeFile(join(home, 'kept', 'file'), 'x');
  await symlink(join(home, 'kept'), join(temporaryOf(home, one), 'link'));
  ended(one);
  await temporaries.close();
  expect(await readdir(join(home, 'tmp'))).toEqual([other]);
  expect(await readdir(join(home, 'kept'))).toEqual(['file']);
  expect(listeners.size).toBe(0);
});

it('is swept where nobody knows its instance any more', async () => {
  const { home, temporaries } = await setup();
  const [known, gone] = [newInstanceId(), newInstanceId()];
  // There is nothing to sweep before the first start.
  await temporaries.sweep(new Set());
  for (const id of [known, gone]) await makeTemporary(temporaryOf(home, id));
  await temporaries.sweep(new Set([known]));
  expect(await readdir(join(home, 'tmp'))).toEqual([known]);
});
