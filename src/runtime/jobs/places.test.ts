import { expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import { createPlaces } from './places.ts';

const { signal } = new AbortController();

it('has as many at once as it may, and the others in the order in which they came', async () => {
  const places = createPlaces();
  const order: number[] = [];
  const first = await places.take('aider', 1, signal);
  const waiting = [1, 2].map(async (n) => {
    const leave = await places.take('aider', 1, signal);
    order.push(n);
    leave();
  });
  expect(await places.take('shell-gpt', 1, signal)).toBeTypeOf('function');
  expect(order).toEqual([]);
  first();
  first();
  await Promise.all(waiting);
  expect(order).toEqual([1, 2]);
});

it('lets one go that is called off, and the line goes on', async () => {
  const places = createPlaces();
  const left = new AbortController();
  const first = await places.take('aider', 1, signal);
  const gone = places.take('aider', 1, left.signal);
  const next = places.take('aider', 1, signal);
  left.abort(new Fault('CANCELLED', 'called off'));
  await expect(gone).rejects.toThrow('called off');
  first();
  (await next)();
});

it('regression: a place that is handed to one in the moment it is called off is not lost', async () => {
  const places = createPlaces();
  const left = new AbortController();
  const first = await places.take('aider', 1, signal);
  const gone = places.take('aider', 1, left.signal);
  left.abort(new Fault('CANCELLED', 'called off'));
  first();
  await expect(gone).rejects.toThrow('called off');
  (await places.take('aider', 1, AbortSignal.timeout(1_000)))();
});
