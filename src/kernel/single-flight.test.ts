import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { createSingleFlight } from './single-flight.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A work that ends when told, or when it is aborted and `obey` is set. */
function manual<T>() {
  const runs: { signal: AbortSignal; resolve(value: T): void; reject(error: unknown): void }[] = [];
  const work = (signal: AbortSignal) =>
    new Promise<T>((resolve, reject) => {
      runs.push({ signal, resolve, reject });
    });
  return { runs, work };
}

const forever = () => new AbortController().signal;

describe('single flight', () => {
  it('does the work once for all who ask meanwhile, and anew for who asks after', async () => {
    const flight = createSingleFlight<number>();
    const { runs, work } = manual<number>();
    const asked = [flight.run('a', forever(), work), flight.run('a', forever(), work)];
    await turn();
    expect(runs).toHaveLength(1);
    expect(flight.has('a')).toBe(true);
    runs[0]?.resolve(1);
    expect(await Promise.all(asked)).toEqual([1, 1]);
    expect(flight.has('a')).toBe(false);
    const again = flight.run('a', forever(), work);
    await turn();
    runs[1]?.resolve(2);
    expect(await again).toBe(2);
  });

  it('tells everyone of a failure and does not remember it', async () => {
    const flight = createSingleFlight<number>();
    const failing = () => Promise.reject(new Error('no'));
    const results = await Promise.allSettled([
      flight.run('a', forever(), failing),
      flight.run('a', forever(), failing),
    ]);
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected']);
    expect(await flight.run('a', forever(), () => Promise.resolve(3))).toBe(3);
  });

  it('never aborts the signal of a work that ended: what it made may hang on it', async () => {
    const flight = createSingleFlight<AbortSignal>();
    const signal = await flight.run('a', forever(), (own) => Promise.resolve(own));
    await turn();
    expect(signal.aborted).toBe(false);
  });

  it('lets one go at once and goes on for the others; aborts when the last has left', async () => {
    const flight = createSingleFlight<number>();
    const { runs, work } = manual<number>();
    const [first, second] = [new AbortController(), new AbortController()];
    const asked = [flight.run('a', first.signal, work), flight.run('a', second.signal, work)];
    const ends = Promise.allSettled(asked);
    await turn();
    first.abort();
    await expect(asked[0]).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(runs[0]?.signal.aborted).toBe(false);
    second.abort();
    await ends;
    expect(runs[0]?.signal.aborted).toBe(true);
    expect(flight.has('a')).toBe(false);
  });

  it('starts the next run only when the abandoned one has ended', async () => {
    const flight = createSingleFlight<number>();
    const { runs, work } = manual<number>();
    const leaver = new AbortController();
    const left = flight.run('a', leaver.signal, work).catch(() => undefined);
    await turn();
    leaver.abort();
    await left;
    const next = flight.run('a', forever(), work);
    await turn();
    expect(runs).toHaveLength(1);
    runs[0]?.reject(new Error('stopped'));
    await turn();
    expect(runs).toHaveLength(2);
    runs[1]?.resolve(7);
    expect(await next).toBe(7);
  });

  it('makes no start for a caller that has left, before or while it waits for its turn', async () => {
    const flight = createSingleFlight<number>();
    const work = vi.fn(() => Promise.resolve(1));
    await expect(flight.run('a', AbortSignal.abort(), work)).rejects.toMatchObject({ code: 'CANCELLED' });
    const slow = manual<number>();
    const [first, second] = [new AbortController(), new AbortController()];
    const ends = [flight.run('a', first.signal, slow.work).catch(() => undefined)];
    await turn();
    first.abort();
    ends.push(flight.run('a', second.signal, work).catch(() => undefined));
    second.abort();
    slow.runs[0]?.reject(new Error('stopped'));
    await Promise.all(ends);
    await turn();
    expect(work).not.toHaveBeenCalled();
  });

  it('never runs two at once for a key, and answers everyone, whatever the order', async () => {
    const steps = fc.array(fc.tuple(fc.constantFrom('ask', 'leave', 'end'), fc.nat(5)), { maxLength: 30 });
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const flight = createSingleFlight<number>();
        let running = 0;
        let most = 0;
        const finish: (() => void)[] = [];
        const work = async () => {
          most = Math.max(most, ++running);
          await new Promise<void>((resolve) => finish.push(resolve));
          running--;
          return 1;
        };
        const callers: AbortController[] = [];
        const answers: Promise<unknown>[] = [];
        for (const [what, which] of script) {
          if (what === 'ask') {
            const caller = new AbortController();
            callers.push(caller);
            answers.push(flight.run('key', caller.signal, work).catch(() => 'left'));
          } else if (what === 'leave') callers[which]?.abort();
          else finish.shift()?.();
          await turn();
        }
        for (let i = 0; i < script.length + 1; i++) {
          finish.shift()?.();
          await turn();
        }
        expect(await Promise.all(answers)).toHaveLength(callers.length);
        expect(most).toBeLessThanOrEqual(1);
        expect(flight.has('key')).toBe(false);
      }),
      { numRuns: 60 },
    );
  });
});
