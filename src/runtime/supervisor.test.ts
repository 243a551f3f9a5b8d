import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ExitedStatus, InstanceHandle, RuntimeDriver } from '#contracts/runtime';
import { systemClock } from '#kernel/clock';
import type { InstanceId } from '#kernel/ids';
import { unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import type { Blueprint } from './blueprint.ts';
import type { InstanceRecord, Records } from './records.ts';
import { createSupervisor } from './supervisor.ts';

const unit = unitId('service', 'x');

interface Fakes {
  readonly alive: Map<string, InstanceHandle>;
  readonly told: string[];
  readonly rows: Map<string, InstanceRecord>;
  /** What the health check finds: a line in the log file, since that needs no port. */
  healthy: boolean;
  exit(): void;
}

function bench(failing: { start?: boolean; thaw?: boolean; stop?: number; pause?: () => Promise<void> } = {}) {
  const listeners = new Set<(handle: InstanceHandle, status: ExitedStatus) => void>();
  const fakes: Fakes = {
    alive: new Map(),
    told: [],
    rows: new Map(),
    healthy: true,
    exit() {
      const [handle] = fakes.alive.values();
      if (!handle) return;
      fakes.alive.delete(handle.id);
      for (const listener of listeners) listener(handle, { state: 'exited', code: 3, signal: null, oomKilled: false });
    },
  };
  const driver: RuntimeDriver = {
    traits: { survivesRestart: true, enforcesMemory: false },
    async start({ id }) {
      await failing.pause?.();
      if (failing.start) throw new Error('no such program');
      const handle: InstanceHandle = { driver: 'fake', version: 1, id, unit, state: { pid: 1 } };
      fakes.alive.set(id, handle);
      return handle;
    },
    recover: async (handle) => fakes.alive.get(handle.id) ?? null,
    inspect: async (handle) =>
      fakes.alive.has(handle.id)
        ? { state: 'running', pid: 1, memoryBytes: 7 }
        : { state: 'exited', code: 3, signal: null, oomKilled: false },
    async stop(handle) {
      await failing.pause?.();
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
    close: async () => undefined,
  };
  const records: Records = {
    put: (record) => void fakes.rows.set(record.unit, record),
    delete: (id) => void fakes.rows.delete(id),
    list: () => [...fakes.rows.values()],
  };
  const tell = (what: string) => () => void fakes.told.push(what);
  const blueprint: Blueprint = {
    unit,
    run: { command: ['node'], env: {} },
    // The bench's own log: this file, which has a line that matches, or does not.
    health: { log: 'import fc' },
    startupTimeoutMs: 5_000,
    stopGraceMs: 10,
    oomScoreAdj: 500,
    serviceDir: '/tmp',
    dataDir: '/tmp',
    env: {},
    values: {},
  };
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
    place: () => ({ home: '/tmp', capabilities: {} }),
    // Real time, but nothing here takes longer than a turn of the event loop, and the pauses between looks and tries are skipped.
    clock: { ...systemClock, after: (ms, callback) => systemClock.after(ms < 2_000 ? 0 : ms, callback) },
    log: silentLogger,
  });
  return { supervisor, fakes };
}

describe('the supervisor', () => {
  it('starts, tells the address and the memory, and stops', async () => {
    const { supervisor, fakes } = bench();
    supervisor.start(unit, 10);
    await supervisor.idle();
    expect(supervisor.endpoint(unit)).toMatchObject({ host: '127.0.0.1', key: expect.stringMatching(/^sutaz-i-/) });
    await supervisor.survey();
    supervisor.stop(unit);
    await supervisor.idle();
    expect(fakes.told).toEqual(['started', 'measured 7', 'stopped']);
    expect([fakes.alive.size, fakes.rows.size, supervisor.endpoint(unit)]).toEqual([0, 0, null]);
  });

  it('calls off a start that a stop overtakes, and tells of the stop alone', async () => {
    const { supervisor, fakes } = bench();
    fakes.healthy = false;
    supervisor.start(unit, 10);
    await new Promise((resolve) => setImmediate(resolve));
    supervisor.stop(unit);
    await supervisor.idle();
    expect(fakes.told).toEqual(['stopped']);
    expect([fakes.alive.size, fakes.rows.size]).toEqual([0, 0]);
  });

  it('tells a start that fails, or ends before it is healthy, with the last words', async () => {
    const none = bench({ start: true });
    none.supervisor.start(unit, 10);
    await none.supervisor.idle();
    expect(none.fakes.told).toEqual(['failed: no such program']);
    const { supervisor, fakes } = bench();
    fakes.healthy = false;
    supervisor.start(unit, 10);
    while (fakes.alive.size === 0) await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    fakes.exit();
    await supervisor.idle();
    expect(fakes.told).toEqual(['failed: it ended while it started, ended with exit code 3: last words']);
    expect(supervisor.failure(unit)?.log).toEqual(['last words']);
    expect(fakes.rows.size).toBe(0);
  });

  it('tells an instance that ends by itself, and ends one that will not thaw', async () => {
    const { supervisor, fakes } = bench({ thaw: true });
    supervisor.start(unit, 10);
    await supervisor.idle();
    fakes.exit();
    await supervisor.idle();
    supervisor.start(unit, 10);
    supervisor.freeze(unit);
    supervisor.thaw(unit);
    await supervisor.idle();
    expect(fakes.told).toEqual([
      'started',
      'exited: ended with exit code 3: last words',
      'started',
      'frozen',
      'exited: stays frozen',
    ]);
    expect([fakes.alive.size, fakes.rows.size]).toEqual([0, 0]);
  });

  it('regression: a driver that cannot end an instance does not leave its unit stopping for ever', async () => {
    const { supervisor, fakes } = bench({ stop: 2 });
    supervisor.start(unit, 10);
    supervisor.stop(unit);
    await supervisor.idle();
    expect(fakes.told.at(-1)).toBe('stopped');
    expect(fakes.alive.size).toBe(0);
  });

  it('takes over what runs and is known, and ends or forgets the rest', async () => {
    const { supervisor, fakes } = bench();
    const id = 'i-1' as InstanceId;
    const handle: InstanceHandle = { driver: 'fake', version: 1, id, unit, state: { pid: 1 } };
    const record: InstanceRecord = { id, unit, handle, host: 'h', port: 1, key: 'k', startedAt: '' };
    const other = unitId('service', 'gone');
    fakes.alive.set(id, handle).set('i-2', { ...handle, id: 'i-2' as InstanceId, unit: other });
    fakes.rows
      .set(unit, record)
      .set(other, { ...record, id: 'i-2' as InstanceId, unit: other, handle: { ...handle, id: 'i-2' as InstanceId } });
    fakes.rows.set('service/half', { ...record, unit: unitId('service', 'half'), handle: null });
    expect(await supervisor.recover((known) => known === unit)).toEqual([{ unit, frozen: false }]);
    expect([...fakes.alive.keys(), ...fakes.rows.keys()]).toEqual([id, unit]);
    expect(supervisor.endpoint(unit)).toMatchObject({ host: 'h', port: 1, key: 'k' });
  });

  it('regression: a disk that is full when an instance ends does not keep its unit stopping', async () => {
    const { supervisor, fakes } = bench();
    supervisor.start(unit, 10);
    await supervisor.idle();
    fakes.rows.delete = () => {
      throw new Error('database or disk is full');
    };
    supervisor.stop(unit);
    await supervisor.idle();
    expect(fakes.told).toEqual(['started', 'stopped']);
  });

  it('regression: one that ends as its health is seen for the first time was not started', async () => {
    const { supervisor, fakes } = bench();
    const has = fakes.alive.has.bind(fakes.alive);
    // It is there when it is inspected, and ends while its log, which says that it is ready, is read.
    fakes.alive.has = (id) => {
      setImmediate(() => fakes.exit());
      return has(id);
    };
    supervisor.start(unit, 10);
    await supervisor.idle();
    await new Promise((resolve) => setImmediate(resolve));
    await supervisor.idle();
    expect(fakes.told.filter((told) => /^(failed|exited)/.test(told))).toHaveLength(1);
    expect([supervisor.endpoint(unit), fakes.rows.size, fakes.alive.size]).toEqual([null, 0, 0]);
  });

  it('regression: a row that cannot be taken over does not keep the others from it', async () => {
    const { supervisor, fakes } = bench();
    const id = 'i-1' as InstanceId;
    const handle: InstanceHandle = { driver: 'fake', version: 1, id, unit, state: { pid: 1 } };
    const record: InstanceRecord = { id, unit, handle, host: 'h', port: 1, key: 'k', startedAt: '' };
    fakes.alive.set(id, handle);
    const broken = unitId('service', 'broken');
    const unreadable = {
      get id(): InstanceId {
        throw new Error('garbage');
      },
    };
    fakes.rows.set(broken, { ...record, unit: broken, handle: unreadable as InstanceHandle }).set(unit, record);
    expect(await supervisor.recover(() => true)).toEqual([{ unit, frozen: false }]);
  });

  it('regression: an end that nobody heard is found by the next survey', async () => {
    const { supervisor, fakes } = bench();
    supervisor.start(unit, 10);
    await supervisor.idle();
    fakes.alive.clear();
    await supervisor.survey();
    await supervisor.idle();
    expect(fakes.told).toEqual(['started', 'exited: ended with exit code 3: last words']);
    expect([supervisor.endpoint(unit), fakes.rows.size]).toEqual([null, 0]);
  });

  it('whatever is asked in whatever order, each ends in one outcome and nothing is left over', async () => {
    const action = fc.constantFrom('start', 'stop', 'freeze', 'thaw', 'exit', 'turn');
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 20 }), async (actions) => {
        const { supervisor, fakes } = bench();
        let starts = 0;
        let running = false;
        for (const what of actions) {
          // The scheduler starts only what is cold, and stops only what is not.
          if (what === 'start' && !running) {
            running = true;
            starts++;
            supervisor.start(unit, 1);
          } else if (what === 'stop' && running) {
            running = false;
            supervisor.stop(unit);
          } else if (what === 'freeze' || what === 'thaw') supervisor[what](unit);
          else if (what === 'exit') fakes.exit();
          else if (what === 'turn') await new Promise((resolve) => setImmediate(resolve));
        }
        await supervisor.idle();
        supervisor.stop(unit);
        await supervisor.idle();
        expect([fakes.alive.size, fakes.rows.size]).toEqual([0, 0]);
        const ends = fakes.told.filter((told) => /^(stopped|failed|exited)/.test(told)).length;
        expect(ends).toBeGreaterThanOrEqual(starts);
        expect(fakes.told.filter((told) => told === 'started').length).toBeLessThanOrEqual(starts);
      }),
      { numRuns: 150 },
    );
  });

  it('tells the scheduler nothing that it cannot mean, and ends in one outcome what the scheduler began', async () => {
    const action = fc.constantFrom('go', 'stop', 'rest', 'exit', 'turn', 'turn', 'turns', 'sick', 'well');
    const cases = fc.tuple(fc.array(action, { maxLength: 40 }), fc.boolean(), fc.nat(3), fc.nat(5));
    await fc.assert(
      fc.asyncProperty(cases, async ([actions, start, stop, pauses]) => {
        const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
        const pause = async () => {
          for (let i = 0; i < pauses; i++) await turn();
        };
        const failing = { start: start && pauses > 2, stop, pause, thaw: start };
        const { supervisor, fakes } = bench(failing);
        let phase = 'cold';
        const wrong: string[] = [];
        fakes.told.push = (said) => {
          const outcome = said.split(':')[0] ?? '';
          const next = legal[phase]?.[outcome];
          if (next === undefined) wrong.push(`${outcome} while ${phase}`);
          else phase = next;
          return 0;
        };
        const ask = (to: string, act: () => void) => {
          phase = to;
          act();
        };
        for (const what of actions) {
          if (what === 'go' && phase === 'cold') ask('starting', () => supervisor.start(unit, 1));
          else if (what === 'go' && phase === 'frozen') ask('thawing', () => supervisor.thaw(unit));
          else if (what === 'rest' && phase === 'ready') ask('freezing', () => supervisor.freeze(unit));
          else if (what === 'stop' && phase !== 'cold' && phase !== 'stopping')
            ask('stopping', () => supervisor.stop(unit));
          else if (what === 'exit') fakes.exit();
          else if (what === 'sick' || what === 'well') fakes.healthy = what === 'well';
          else if (what === 'turn') await turn();
          else if (what === 'turns') for (let i = 0; i < 10; i++) await turn();
        }
        // One that was begun sick would be waited for until its time is up.
        if (phase === 'starting') ask('stopping', () => supervisor.stop(unit));
        await supervisor.idle();
        expect(phase).toMatch(/^(cold|ready|frozen)$/);
        if (phase !== 'cold') ask('stopping', () => supervisor.stop(unit));
        await supervisor.idle();
        expect([phase, wrong, fakes.alive.size, fakes.rows.size]).toEqual(['cold', [], 0, 0]);
        expect(supervisor.record(unit)).toBeNull();
      }),
      { numRuns: 120 },
    );
  });
});

/** What each outcome means for the scheduler, by the phase its unit is in. One that was told to stop waits for that alone. */
const legal: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  starting: { started: 'ready', failed: 'cold' },
  ready: { exited: 'cold' },
  freezing: { frozen: 'frozen', exited: 'cold' },
  frozen: { exited: 'cold' },
  thawing: { thawed: 'ready', exited: 'cold' },
  stopping: {
    ...{ stopped: 'cold', started: 'stopping', failed: 'stopping', exited: 'stopping' },
    ...{ frozen: 'stopping', thawed: 'stopping' },
  },
};
