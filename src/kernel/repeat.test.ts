import { expect, it } from 'vitest';
import { fakeClock } from './clock.fake.ts';
import { repeat } from './repeat.ts';

const turn = () => new Promise((resolve) => setImmediate(resolve));

it('runs again after each run has ended, failed or not, until it is stopped', async () => {
  const clock = fakeClock();
  const errors: unknown[] = [];
  let runs = 0;
  let finish = (): void => undefined;
  const work = () => {
    runs++;
    if (runs === 1) return Promise.reject(new Error('no'));
    return new Promise<void>((resolve) => (finish = resolve));
  };
  const stop = repeat(clock, 10, work, (error) => errors.push(error));
  clock.advance(10);
  await turn();
  clock.advance(10);
  expect([runs, errors.length]).toEqual([2, 1]);
  clock.advance(100);
  expect(runs).toBe(2);
  finish();
  await turn();
  clock.advance(10);
  expect(runs).toBe(3);
  stop();
  finish();
  await turn();
  clock.advance(100);
  expect([runs, clock.pending]).toEqual([3, 0]);
});
