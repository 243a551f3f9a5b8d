import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import type { InstanceHandle, RuntimeDriver } from '#contracts/runtime';
import { systemClock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { silentLogger } from '#kernel/logger';
import { createJobs } from './jobs.ts';
import type { JobAsk, JobsOptions } from './jobs.ts';
import type { JobRecord } from './records.ts';
import { unitOfRun } from './run.ts';

/** Runs of a driver that runs nothing; what lives of them is told by their ids. */
async function bench(put: (record: JobRecord) => void = () => undefined) {
  const dir = await mkdtemp(join(tmpdir(), 'sutaz-jobs-'));
  onTestFinished(() => rm(dir, { recursive: true }));
  const alive = new Map<string, InstanceHandle>();
  const rows = new Map<string, JobRecord>();
  const options: JobsOptions = {
    ...{ dir: join(dir, 'jobs'), home: dir, host: '127.0.0.1', clock: systemClock, log: silentLogger },
    driver: driverOf(alive),
    environments: { ensure: async () => null },
    place: () => ({ home: dir, capabilities: {} }),
    records: {
      put(record) {
        put(record);
        rows.set(record.id, record);
      },
      delete: (id) => void rows.delete(id),
      list: () => [...rows.values()],
    },
    world: {
      admit: async () => () => undefined,
      needs: async () => ({}),
      mint: () => undefined,
      withdraw: () => undefined,
      measured: () => undefined,
    },
  };
  return { jobs: createJobs(options), anew: () => createJobs(options), alive, rows, ask: askIn(dir) };
}

function driverOf(alive: Map<string, InstanceHandle>): RuntimeDriver {
  return {
    traits: { survivesRestart: true, enforcesMemory: false },
    async start({ id, unit }) {
      const handle: InstanceHandle = { driver: 'fake', version: 1, id, unit, state: {} };
      alive.set(id, handle);
      return handle;
    },
    find: async (id) => alive.get(id) ?? null,
    recover: async () => null,
    inspect: async () => ({ state: 'running', pid: 1, memoryBytes: 1 }),
    stop: async ({ id }) => void alive.delete(id),
    list: async () => [...alive.values()],
    onExit: () => () => undefined,
    close: async () => undefined,
  };
}

const askIn = (dir: string): JobAsk => ({
  folder: { named: null, cwd: null, copy: false },
  stdin: null,
  order: {
    ...{ tool: 'tool', args: [], principal: 'admin', model: null, scopes: [], concurrency: 1 },
    limits: { timeMs: 60_000, memoryBytes: 2 ** 20 },
    blueprint: (unit) => ({
      ...{ unit, run: { command: ['node'], env: {} }, health: { tcp: true }, startupTimeoutMs: 1, stopGraceMs: 1 },
      ...{ oomScoreAdj: 500, serviceDir: dir, dataDir: dir, env: {}, values: {} },
    }),
  },
});

it('a run whose start cannot be noted leaves no process behind', async () => {
  const { jobs, alive, ask } = await bench((record) => {
    if (record.handle) throw new Fault('DISK_FULL', 'The disk is full.');
  });
  const { id } = await jobs.start(ask);
  await expect.poll(() => jobs.get(id)?.end).toMatchObject({ reason: 'failed', message: 'The disk is full.' });
  expect(alive.size).toBe(0);
});

it('a process whose platform died before it could note its handle is found and ended', async () => {
  // Killed with the process just begun: of all it was to write nothing comes any more.
  const { jobs, anew, alive, rows, ask } = await bench((record) => {
    if (record.handle ?? record.end) throw new Error('killed');
  });
  const { id } = await jobs.start(ask);
  await expect.poll(() => rows.get(id)?.instance).toBeDefined();
  await expect.poll(() => jobs.get(id)?.state).toBe('ended');
  const instance = rows.get(id)?.instance as NonNullable<JobRecord['instance']>;
  const unit = unitOfRun(id);
  alive.set(instance, { driver: 'fake', version: 1, id: instance, unit, state: {} });
  await anew().recover();
  expect(alive.size).toBe(0);
});
