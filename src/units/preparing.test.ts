import { expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { createPreparing } from './preparing.ts';

const unit = unitId('model', 'm');
const never = new AbortController().signal;

it('prepares once for all who wait and remembers that it is done', async () => {
  let runs = 0;
  const preparing = createPreparing(async () => void runs++, fakeClock());
  await Promise.all([preparing.run(unit, never), preparing.run(unit, never)]);
  await preparing.run(unit, never);
  expect(runs).toBe(1);
  expect(preparing.isDone(unit)).toBe(true);
  preparing.forget(unit);
  await preparing.run(unit, never);
  expect(runs).toBe(2);
});

it('gives the same answer until the backoff is over instead of trying again for each request', async () => {
  let runs = 0;
  const clock = fakeClock();
  const preparing = createPreparing(async () => {
    runs++;
    throw new Fault('UPSTREAM_FAILED', 'no source has it');
  }, clock);
  await expect(preparing.run(unit, never)).rejects.toThrow('no source has it');
  await expect(preparing.run(unit, never)).rejects.toMatchObject({ code: 'UPSTREAM_FAILED', retryAfter: 1 });
  expect(runs).toBe(1);
  clock.advance(1_000);
  await expect(preparing.run(unit, never)).rejects.toThrow();
  expect(runs).toBe(2);
  clock.advance(1_000);
  await expect(preparing.run(unit, never)).rejects.toMatchObject({ retryAfter: 1 });
  expect(runs).toBe(2);
});

it('does not count a preparation that everyone left as a failure', async () => {
  const leaving = new AbortController();
  const preparing = createPreparing(
    (_unit, signal) => new Promise((_, reject) => signal.addEventListener('abort', () => reject(new Error('aborted')))),
    fakeClock(),
  );
  const run = preparing.run(unit, leaving.signal);
  leaving.abort();
  await expect(run).rejects.toMatchObject({ code: 'CANCELLED' });
  await Promise.resolve();
  expect(preparing.failure(unit)).toBeNull();
});

it('tells how far it is', async () => {
  let finish = (): void => undefined;
  const preparing = createPreparing((_unit, _signal, onProgress) => {
    onProgress({ phase: 'downloading', what: 'a.gguf', done: 50, total: 200, unit: 'bytes' });
    return new Promise((resolve) => (finish = resolve));
  }, fakeClock());
  const run = preparing.run(unit, never);
  await new Promise((resolve) => setImmediate(resolve));
  expect(preparing.progress(unit)).toEqual({ phase: 'downloading', what: 'a.gguf', percent: 25 });
  finish();
  await run;
  expect(preparing.progress(unit)).toBeNull();
});
