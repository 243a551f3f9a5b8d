import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { stateConformance } from '#contracts/state.conformance';
import { sqliteState } from './sqlite.ts';

let dir: string | undefined;
const host = { log: silentLogger, clock: systemClock, signal: new AbortController().signal };
stateConformance(
  'state.sqlite',
  async () =>
    sqliteState.open({ path: join((dir ??= await mkdtemp(join(tmpdir(), 'sutaz-state-'))), 'state.db') }, host),
  async () => {
    if (dir) await rm(dir, { recursive: true, force: true });
    dir = undefined;
  },
);
