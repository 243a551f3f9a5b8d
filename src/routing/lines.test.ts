import { describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { createLines } from './lines.ts';
import { unplaced } from './wake.ts';
import type { Awake, Caller } from './wake.ts';

const unit = unitId('service', 'x');
const ada = { principal: 'ada', class: 'interactive' } as const;
const origin = 'http://127.0.0.1:1';
const targetAt = (at: string) => ({ origin: at, basePath: '', key: null });
const settle = () => new Promise((resolve) => setImmediate(resolve));

function bench() {
  const clock = fakeClock();
  const count = { leases: 0, open: 0, broken: 0 };
  const asked: { readonly caller: Caller; grant(at?: string): void; refuse(error: unknown): void }[] = [];
  const awakeAt = (at: string): Awake => {
    let held = true;
    count.leases++;
    return {
      ...{ target: targetAt(at), placed: unplaced(targetAt(at)), queueMs: 0, wakeMs: 0 },
      leaveOpen: () => {
        count.open++;
        return () => void count.open--;
      },
      release: (broken = false) => {
        if (held) count.leases--;
        if (held && broken) count.broken++;
        held = false;
      },
    };
  };
  const wake = (_: unknown, caller: Caller): Promise<Awake> =>
    new Promise((resolve, reject) => {
      caller.signal.addEventListener('abort', () => reject(caller.signal.reason as Error));
      asked.push({ caller, grant: (at = origin) => resolve(awakeAt(at)), refuse: reject });
    });
  const lines = createLines({ clock, wake });
  const open = (silenceMs = 1_000) => lines.open(unit, awakeAt(origin), ada, silenceMs);
  return { clock, count, asked, open };
}

describe('a line', () => {
  it('gives its lease back after a silence, which every byte begins anew', () => {
    const { clock, count, open } = bench();
    const line = open();
    for (let i = 0; i < 5; i++) {
      clock.advance(900);
      expect(line.said()).toBeNull();
    }
    clock.advance(999);
    expect([count.leases, line.isSilent()]).toEqual([1, false]);
    clock.advance(1);
    expect([count.leases, line.isSilent(), count.open]).toEqual([0, true, 1]);
    line.close();
    line.close();
    expect([count.open, clock.pending]).toEqual([0, 0]);
  });

  it('that the unit broke off says so with whichever lease it holds', async () => {
    const { clock, count, asked, open } = bench();
    open().close(true);
    expect(count).toEqual({ leases: 0, open: 0, broken: 1 });
    const line = open();
    clock.advance(1_000);
    const passes = line.said();
    await settle();
    asked[0]?.grant();
    await passes;
    line.close(true);
    expect(count).toEqual({ leases: 0, open: 0, broken: 2 });
  });

  it('wakes the unit for its first byte, and is silent again later', async () => {
    const { clock, count, asked, open } = bench();
    const line = open();
    clock.advance(1_000);
    const passes = line.said();
    expect(line.isSilent()).toBe(false);
    await settle();
    expect(asked[0]?.caller).toMatchObject({ ...ada, goesOn: true });
    asked[0]?.grant();
    await passes;
    expect([count.leases, line.said()]).toEqual([1, null]);
    clock.advance(1_000);
    expect([count.leases, line.isSilent()]).toEqual([0, true]);
    line.said()?.catch(() => undefined);
    await settle();
    expect(asked.length).toBe(2);
    line.close();
  });

  it('shares one lease and one place in the queue with all that were silent', async () => {
    const { clock, count, asked, open } = bench();
    const lines = Array.from({ length: 1_000 }, () => open());
    clock.advance(1_000);
    const passes = lines.map((line) => line.said());
    await settle();
    expect([asked.length, count.open]).toEqual([1, 1_000]);
    asked[0]?.grant();
    await Promise.all(passes);
    expect(count.leases).toBe(1);
    for (const line of lines.slice(1)) line.close();
    expect(count.leases).toBe(1);
    lines[0]?.close();
    expect([count.leases, count.open, clock.pending]).toEqual([0, 0, 0]);
  });

  it('says why it could not be woken, and may try again', async () => {
    const { clock, asked, open } = bench();
    const line = open();
    clock.advance(1_000);
    const passes = line.said();
    await settle();
    asked[0]?.refuse(new Fault('NO_MEMORY', 'too little'));
    await expect(passes).rejects.toMatchObject({
      code: 'UPSTREAM_FAILED',
      message: expect.stringMatching(/too little$/),
    });
    line.said()?.catch(() => undefined);
    await settle();
    expect(asked.length).toBe(2);
    line.close();
  });

  it('is not passed on to an instance that it was not begun with', async () => {
    const { clock, count, asked, open } = bench();
    const line = open();
    clock.advance(1_000);
    const passes = line.said();
    await settle();
    asked[0]?.grant('http://127.0.0.1:2');
    await expect(passes).rejects.toMatchObject({ code: 'UPSTREAM_FAILED' });
    expect(count.leases).toBe(0);
    line.close();
  });

  it('that closes while it waits leaves the queue, unless others wait there too', async () => {
    const { clock, count, asked, open } = bench();
    const [one, other] = [open(), open()];
    clock.advance(1_000);
    const passes = [one.said(), other.said()];
    await settle();
    one.close();
    await expect(passes[0]).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(asked[0]?.caller.signal.aborted).toBe(false);
    other.close();
    await expect(passes[1]).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(asked[0]?.caller.signal.aborted).toBe(true);
    expect([count.leases, count.open]).toEqual([0, 0]);
  });

  it('gives back a lease that was granted as the last one closed', async () => {
    const { clock, count, asked, open } = bench();
    const line = open();
    clock.advance(1_000);
    const passes = line.said();
    await settle();
    asked[0]?.grant();
    line.close();
    await expect(passes).rejects.toMatchObject({ code: 'CANCELLED' });
    await settle();
    expect(count.leases).toBe(0);
  });
});
