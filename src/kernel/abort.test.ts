import { describe, expect, it } from 'vitest';
import { abortable, abortFault, aborted, deadline, sleep, throwIfAborted } from './abort.ts';
import { fakeClock } from './clock.fake.ts';
import { Fault } from './faults.ts';

describe('what an aborted signal means', () => {
  it('is its own Fault, else that the caller left', () => {
    const own = new Fault('SHUTTING_DOWN', 'Stopping.');
    expect(abortFault(AbortSignal.abort(own))).toBe(own);
    expect(abortFault(AbortSignal.abort('why'))).toMatchObject({ code: 'CANCELLED', cause: 'why' });
    expect(() => throwIfAborted(AbortSignal.abort(own))).toThrow(own);
    expect(() => throwIfAborted(undefined)).not.toThrow();
    expect(() => throwIfAborted(new AbortController().signal)).not.toThrow();
  });
});

describe('sleep', () => {
  it('ends after its time and leaves no timer', async () => {
    const clock = fakeClock();
    const asleep = sleep(clock, 100);
    clock.advance(99);
    expect(clock.pending).toBe(1);
    clock.advance(1);
    await asleep;
    expect(clock.pending).toBe(0);
  });

  it('ends at once on abort, before or during', async () => {
    const clock = fakeClock();
    await expect(sleep(clock, 100, AbortSignal.abort())).rejects.toMatchObject({ code: 'CANCELLED' });
    const controller = new AbortController();
    const asleep = sleep(clock, 100, controller.signal);
    controller.abort();
    await expect(asleep).rejects.toMatchObject({ code: 'CANCELLED' });
    expect(clock.pending).toBe(0);
  });
});

describe('abortable', () => {
  it('settles as the promise does, or as the signal when that is first', async () => {
    const { signal } = new AbortController();
    expect(await abortable(Promise.resolve(1), signal)).toBe(1);
    await expect(abortable(Promise.reject(new Error('no')), signal)).rejects.toThrow('no');
    const controller = new AbortController();
    const waiting = abortable(new Promise(() => undefined), controller.signal);
    controller.abort(new Fault('TIMEOUT', 'late'));
    await expect(waiting).rejects.toMatchObject({ code: 'TIMEOUT' });
  });

  it('may be stopped, and then hears nothing', async () => {
    const controller = new AbortController();
    const guard = aborted(controller.signal);
    guard.stop();
    controller.abort();
    expect(await Promise.race([guard.promise, Promise.resolve('quiet')])).toBe('quiet');
  });
});

describe('deadline', () => {
  it('aborts with TIMEOUT after its time', () => {
    const clock = fakeClock();
    const { signal } = deadline(clock, 50, 'too slow');
    clock.advance(50);
    expect(signal.reason).toMatchObject({ code: 'TIMEOUT', message: 'too slow' });
  });

  it('aborts as its parent does, even when that was before', () => {
    const parent = new AbortController();
    const { signal, clear } = deadline(fakeClock(), 50, 'too slow', parent.signal);
    parent.abort('left');
    expect(signal.reason).toBe('left');
    clear();
    expect(deadline(fakeClock(), 50, 'too slow', parent.signal).signal.aborted).toBe(true);
  });

  it('does nothing once cleared', () => {
    const clock = fakeClock();
    const parent = new AbortController();
    const { signal, clear } = deadline(clock, 50, 'too slow', parent.signal);
    clear();
    clock.advance(100);
    parent.abort();
    expect(signal.aborted).toBe(false);
    expect(clock.pending).toBe(0);
  });
});
