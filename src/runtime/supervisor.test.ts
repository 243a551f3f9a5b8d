import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import type { InstanceHandle } from '#contracts/runtime';
import type { InstanceId } from '#kernel/ids';
import { unitId } from '#kernel/ids';
import type { InstanceRecord } from './records.ts';
import { bench, home, unit } from './supervisor.fake.ts';
import type { Fakes } from './supervisor.fake.ts';

afterAll(() => rm(home, { recursive: true }));

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

  it('hands the driver whom the kernel is to take first', async () => {
    const { supervisor, fakes } = bench();
    supervisor.start(unit, 10);
    await supervisor.idle();
    expect(fakes.spec).toMatchObject({ memoryBytes: 10, oomScoreAdj: 500 });
  });

  describe('a frozen instance', () => {
    async function frozen(prepare: (fakes: Fakes) => void = () => undefined) {
      const { supervisor, fakes } = bench();
      prepare(fakes);
      supervisor.start(unit, 10);
      supervisor.freeze(unit);
      return { supervisor, fakes };
    }

    it('is measured at once, and again when the system took back some of it', async () => {
      const asked: number[] = [];
      const { supervisor, fakes } = await frozen((fakes) => {
        fakes.bytes = 300;
        fakes.reclaim = async (_, bytes) => {
          asked.push(bytes);
          fakes.bytes = 20;
          return 280;
        };
      });
      await supervisor.idle();
      expect(asked).toEqual([300]);
      expect(fakes.told).toEqual(['started', 'frozen', 'measured 300', 'measured 20']);
    });

    it('is measured once when nothing could be taken back', async () => {
      const { supervisor, fakes } = await frozen();
      await supervisor.idle();
      expect(fakes.told).toEqual(['started', 'frozen', 'measured 7']);
    });

    it.each(['thaw', 'stop'] as const)('is left alone at once when it is to %s', async (what) => {
      const begun = Promise.withResolvers<void>();
      const { supervisor, fakes } = await frozen((fakes) => {
        fakes.reclaim = (_, _bytes, signal) =>
          new Promise((resolve) => {
            signal.addEventListener('abort', () => resolve(1));
            begun.resolve();
          });
      });
      await begun.promise;
      supervisor[what](unit);
      await supervisor.idle();
      expect(fakes.told.filter((told) => !told.startsWith('measured'))).toEqual([
        ...['started', 'frozen'],
        what === 'thaw' ? 'thawed' : 'stopped',
      ]);
    });

    it('is not asked for anything when its thaw was asked for before it was frozen', async () => {
      const signals: AbortSignal[] = [];
      const { supervisor, fakes } = await frozen((fakes) => {
        fakes.reclaim = async (_, _bytes, signal) => (signals.push(signal), 0);
      });
      supervisor.thaw(unit);
      await supervisor.idle();
      expect(fakes.told.at(-1)).toBe('thawed');
      expect(signals.every(({ aborted }) => aborted)).toBe(true);
    });

    it('is measured twice a minute, an awake one at each survey', async () => {
      const { supervisor, fakes } = await frozen();
      await supervisor.idle();
      fakes.told.length = 0;
      await supervisor.survey();
      fakes.ahead += 29_000;
      await supervisor.survey();
      expect(fakes.told).toEqual([]);
      fakes.ahead += 1_000;
      for (let i = 0; i < 3; i++) await supervisor.survey();
      expect(fakes.told).toEqual(['measured 7']);
      supervisor.thaw(unit);
      await supervisor.idle();
      for (let i = 0; i < 2; i++) await supervisor.survey();
      expect(fakes.told).toEqual(['measured 7', 'thawed', 'measured 7', 'measured 7']);
    });

    it('that cannot be asked of is kept as it is', async () => {
      const { supervisor, fakes } = await frozen((fakes) => {
        fakes.reclaim = () => Promise.reject(new Error('EIO'));
      });
      await supervisor.idle();
      supervisor.thaw(unit);
      await supervisor.idle();
      expect(fakes.told).toEqual(['started', 'frozen', 'measured 7', 'thawed']);
    });
  });

  it('leaves no temporary folder of a start that failed before there was a process', async () => {
    const { supervisor, fakes } = bench({ start: true });
    const before = await readdir(join(home, 'tmp')).catch(() => []);
    supervisor.start(unit, 10);
    await supervisor.idle();
    const temporary = fakes.spec?.env['TMPDIR'] ?? '';
    expect(dirname(temporary)).toBe(join(home, 'tmp'));
    expect(await readdir(join(home, 'tmp'))).toEqual(before);
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
    expect(fakes.told).toEqual(['failed: while it started it ended with exit code 3: last words']);
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
      'measured 7',
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

  it('ends what an earlier record names before it starts another, and starts none while it cannot', async () => {
    const failing = { away: true };
    const { supervisor, fakes } = bench(failing);
    const id = 'i-1' as InstanceId;
    const handle: InstanceHandle = { driver: 'fake', version: 1, id, unit, state: { pid: 1 } };
    const record: InstanceRecord = { id, unit, handle, host: 'h', port: 1, key: 'k', startedAt: '' };
    fakes.alive.set(id, handle);
    fakes.rows.set(unit, record);
    supervisor.start(unit, 10);
    await supervisor.idle();
    expect(fakes.told.at(-1)).toContain('an earlier instance may still run: no engine answers');
    expect([[...fakes.alive.keys()], fakes.rows.get(unit)]).toEqual([[id], record]);
    failing.away = false;
    supervisor.start(unit, 10);
    await supervisor.idle();
    expect(fakes.told.at(-1)).toBe('started');
    expect([...fakes.alive.keys()]).toEqual([fakes.rows.get(unit)?.id]);
    expect(fakes.alive.has(id)).toBe(false);
  });

  it('takes over one whose handle was never noted, where its driver finds it', async () => {
    const { supervisor, fakes } = bench();
    const id = 'i-1' as InstanceId;
    fakes.alive.set(id, { driver: 'fake', version: 1, id, unit, state: { pid: 1 } });
    fakes.rows.set(unit, { id, unit, handle: null, host: 'h', port: 1, key: 'k', startedAt: '' });
    fakes.finds = true;
    expect(await supervisor.recover(() => true)).toEqual([{ unit, frozen: false }]);
    expect(fakes.rows.get(unit)?.handle).toMatchObject({ id });
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

  it('says how much one was allowed that was killed for wanting more memory', async () => {
    const { supervisor, fakes } = bench();
    supervisor.start(unit, 10);
    await supervisor.idle();
    fakes.exit({ state: 'exited', code: null, signal: 'SIGKILL', oomKilled: true, limitBytes: 64 * 2 ** 20 });
    await supervisor.idle();
    expect(fakes.told.at(-1)).toMatch(/for lack of memory: it wanted more than its limit of 64 MiB \(67108864 bytes\)/);
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
          const outcome = said.split(/[: ]/)[0] ?? '';
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
  frozen: { exited: 'cold', measured: 'frozen' },
  thawing: { thawed: 'ready', exited: 'cold', measured: 'thawing' },
  stopping: {
    ...{ stopped: 'cold', started: 'stopping', failed: 'stopping', exited: 'stopping' },
    ...{ frozen: 'stopping', thawed: 'stopping', measured: 'stopping' },
  },
};
