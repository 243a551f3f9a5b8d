import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ExitedStatus, InstanceHandle, InstanceSpec, RuntimeDriver } from '#contracts/runtime';
import { systemClock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import type { Blueprint } from './blueprint.ts';
import { freePort } from './ports.ts';
import type { InstanceRecord, Records } from './records.ts';
import { createSupervisor } from './supervisor.ts';

export const unit = unitId('service', 'x');
/** Where every bench has its files; the system's temporary ones. */
export const home = mkdtempSync(join(tmpdir(), 'sutaz-supervised-'));

export interface Fakes {
  readonly alive: Map<string, InstanceHandle>;
  readonly told: string[];
  readonly rows: Map<string, InstanceRecord>;
  /** What the health check finds: a line in the log file, since that needs no port. */
  healthy: boolean;
  /** Milliseconds by which the clock is ahead. */
  ahead: number;
  /** What the driver's inspect finds. */
  bytes: number;
  spec: InstanceSpec | null;
  /** How often its port was given up. */
  portsLost: number;
  reclaim: NonNullable<RuntimeDriver['reclaim']>;
  /** Whether the driver finds an instance by its id alone. */
  finds: boolean;
  exit(status?: ExitedStatus): void;
}

interface Failing {
  start?: boolean;
  thaw?: boolean;
  stop?: number;
  /** What instances run on answers nothing. */
  away?: boolean;
  pause?: () => Promise<void>;
}

type Listeners = Set<(handle: InstanceHandle, status: ExitedStatus) => void>;

/** A supervisor of a driver that runs nothing. */
export function bench(failing: Failing = {}) {
  const listeners: Listeners = new Set();
  const fakes: Fakes = {
    alive: new Map(),
    told: [],
    rows: new Map(),
    healthy: true,
    ahead: 0,
    bytes: 7,
    spec: null,
    portsLost: 0,
    reclaim: async () => 0,
    finds: false,
    exit(status = { state: 'exited', code: 3, signal: null, oomKilled: false }) {
      const [handle] = fakes.alive.values();
      if (!handle) return;
      fakes.alive.delete(handle.id);
      for (const listener of listeners) listener(handle, status);
    },
  };
  const driver = driverOf(fakes, failing, listeners);
  const records: Records = {
    put: (record) => void fakes.rows.set(record.unit, record),
    delete: (id) => void fakes.rows.delete(id),
    list: () => [...fakes.rows.values()],
  };
  const tell = (what: string) => () => void fakes.told.push(what);
  const supervisor = createSupervisor({
    driver,
    records,
    environments: { ensure: async () => null },
    logs: {
      file: () => (fakes.healthy ? import.meta.filename : '/nowhere'),
      size: async () => 0,
      last: async () => ['last words'],
      bound: async () => undefined,
    },
    outcomes: {
      begun: () => undefined,
      ended: () => undefined,
      started: tell('started'),
      failed: (_, message) => void fakes.told.push(`failed: ${message}`),
      exited: (_, message) => void fakes.told.push(`exited: ${message}`),
      stopped: tell('stopped'),
      frozen: tell('frozen'),
      thawed: tell('thawed'),
      measured: (_, bytes) => void fakes.told.push(`measured ${bytes}`),
    },
    blueprint: async () => blueprint,
    needs: async () => undefined,
    wired: async () => ({ values: {}, told: {} }),
    ports: { take: () => freePort(), forget: () => void fakes.portsLost++ },
    place: () => ({ home, capabilities: {} }),
    // Real time, but nothing here takes longer than a turn of the event loop, and the pauses between looks and tries are skipped.
    clock: {
      ...systemClock,
      now: () => systemClock.now() + fakes.ahead,
      after: (ms, callback) => systemClock.after(ms < 2_000 ? 0 : ms, callback),
    },
    log: silentLogger,
  });
  return { supervisor, fakes };
}

const blueprint: Blueprint = {
  unit,
  run: { command: ['node'], env: {} },
  // The bench's own log: this file, which has a line that matches.
  health: { log: '^export function bench' },
  startupTimeoutMs: 5_000,
  stopGraceMs: 10,
  oomScoreAdj: 500,
  serviceDir: home,
  dataDir: home,
  env: {},
  values: {},
};

function driverOf(fakes: Fakes, failing: Failing, listeners: Listeners): RuntimeDriver {
  return {
    traits: { survivesRestart: true, enforcesMemory: false },
    async start(spec) {
      const { id } = spec;
      fakes.spec = spec;
      await failing.pause?.();
      if (failing.start) throw new Error('no such program');
      const handle: InstanceHandle = { driver: 'fake', version: 1, id, unit, state: { pid: 1 } };
      fakes.alive.set(id, handle);
      return handle;
    },
    find: async (id) => (fakes.finds ? (fakes.alive.get(id) ?? null) : null),
    recover: async (handle) => fakes.alive.get(handle.id) ?? null,
    inspect: async (handle) =>
      fakes.alive.has(handle.id)
        ? { state: 'running', pid: 1, memoryBytes: fakes.bytes }
        : { state: 'exited', code: 3, signal: null, oomKilled: false },
    async stop(handle) {
      await failing.pause?.();
      if (failing.away) throw new Fault('START_FAILED', 'no engine answers');
      if (failing.stop && failing.stop-- > 0) throw new Error('will not go');
      fakes.alive.delete(handle.id);
    },
    list: async () => [...fakes.alive.values()],
    onExit(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    freeze: async () => failing.pause?.(),
    async thaw() {
      await failing.pause?.();
      if (failing.thaw) throw new Error('stays frozen');
    },
    reclaim: (...args) => fakes.reclaim(...args),
    close: async () => undefined,
  };
}
