import { mkdir, mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { newInstanceId, unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import type { Blueprint } from '../blueprint.ts';
import { createSandbox } from './sandbox.ts';

const unit = unitId('service', 'x');

it.skipIf(process.getuid?.() !== 0)(
  'regression: is found possible again after a moment without processes',
  async () => {
    const home = await realpath(await mkdtemp(join(tmpdir(), 'sutaz-sandbox-')));
    onTestFinished(() => rm(home, { recursive: true }));
    const dataDir = join(home, 'services', 'x');
    const temporary = join(home, 'tmp', 'x');
    for (const folder of [dataDir, temporary]) await mkdir(folder, { recursive: true });
    const answers = ['setpriv cannot become user 79999: EAGAIN', null];
    const asked: number[] = [];
    const confine = createSandbox({
      ...{ home, log: silentLogger, rules: () => ({ mode: 'auto', firstUser: 70_000 }) },
      lent: { has: () => false, note: () => undefined, clear: () => undefined },
      async whyNoUsers(first) {
        asked.push(first);
        return answers.shift() ?? null;
      },
    });
    const blueprint: Blueprint = {
      ...{ unit, run: { command: [process.execPath], env: {} }, health: { tcp: true }, startupTimeoutMs: 1 },
      ...{ stopGraceMs: 1, oomScoreAdj: 500, serviceDir: '', dataDir, env: {}, values: {} },
    };
    const start = async () => {
      const argv = ['/bin/sh'];
      const spec = {
        id: newInstanceId(),
        unit,
        argv,
        env: {},
        cwd: dataDir,
        logFile: join(home, 'x.log'),
        memoryBytes: 1,
      };
      return (await confine(spec, { blueprint, environment: null, temporary })).confine?.user?.uid;
    };
    expect(await start()).toBeUndefined();
    const user = await start();
    expect(user).toBeGreaterThan(70_000);
    expect(await start()).toBe(user);
    // Once it is, it stays so.
    expect(asked).toEqual([70_000, 70_000]);
  },
);
