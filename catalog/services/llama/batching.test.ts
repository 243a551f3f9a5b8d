import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createBatching } from './batching.ts';
import type { BatchItem } from './llama-cpp.ts';

const item = (tokens: number): BatchItem => ({ tokens: Array.from({ length: tokens }, () => 1) });
const streams = (count: number) => Array.from({ length: count }, () => item(1));

/** Batches of streams that generate, each taking what `cost` says; how many streams each batch held, from the last `count`. */
function run(cost: (tokens: number) => number, batches: number, count = 100): number[] {
  let clock = 0;
  const { itemPrioritizationStrategy: choose } = createBatching(() => clock);
  const widths = Array.from({ length: batches }, () => {
    const chosen = choose({ items: streams(4), size: 32 });
    clock += cost(chosen.length);
    return chosen.length;
  });
  return widths.slice(-count);
}

it('computes streams in turn where a batch of them takes longer than each alone', () => {
  expect(new Set(run((tokens) => tokens * (tokens === 1 ? 7 : 8), 1_000))).toEqual(new Set([1]));
});

it('computes streams together where that spares reading the weights', () => {
  expect(new Set(run((tokens) => 20 + tokens, 300))).toEqual(new Set([4]));
});

it('notices that the other way became the better one', () => {
  let batches = 0;
  const cost = (tokens: number) => (batches++ < 500 ? tokens * (tokens === 1 ? 7 : 8) : 20 + tokens);
  expect(new Set(run(cost, 4_000))).toEqual(new Set([4]));
});

it('learns nothing from a pause between streams', () => {
  let batches = 0;
  const cost = (tokens: number) => (tokens === 1 ? 7 : 32) + (batches++ % 90 === 89 ? 60_000 : 0);
  expect(new Set(run(cost, 2_000, 85))).toEqual(new Set([1]));
});

it('takes the stream that has waited longest, and leaves the others for the next batch', () => {
  let clock = 0;
  const { itemPrioritizationStrategy: choose } = createBatching(() => clock);
  const queue = streams(4);
  const order: number[] = [];
  const names = new Map(queue.map((one, i) => [one, i]));
  for (let i = 0; i < 200; i++) {
    const chosen = choose({ items: queue, size: 32 });
    clock += chosen.length === 1 ? 7 : 32;
    for (const { item: one } of chosen) {
      queue.splice(queue.indexOf(one), 1);
      queue.push(one);
      order.push(names.get(one) ?? -1);
    }
  }
  expect(order.slice(-8)).toEqual([...order.slice(-4), ...order.slice(-4)]);
  expect(new Set(order.slice(-4)).size).toBe(4);
});

it('begins a stream alone before anything else is done, and waits for others where they are computed together', async () => {
  const { dispatchSchedule, itemPrioritizationStrategy } = createBatching(() => 0);
  const order: string[] = [];
  const sent = new Promise((resolve) => setImmediate(resolve)).then(() => order.push('sent'));
  dispatchSchedule(() => order.push('alone'));
  await sent;
  itemPrioritizationStrategy({ items: streams(2), size: 32 });
  const sentAgain = new Promise((resolve) => setImmediate(resolve)).then(() => order.push('sent'));
  dispatchSchedule(() => order.push('together'));
  await sentAgain;
  await new Promise((resolve) => setImmediate(resolve));
  expect(order).toEqual(['alone', 'sent', 'sent', 'together']);
});

it('fills a batch and never overfills it, in the order of the items, each at most once', () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 16 });
  fc.assert(
    fc.property(lengths, fc.integer({ min: 1, max: 64 }), (each, size) => {
      const items = each.map(item);
      const chosen = createBatching(() => 0).itemPrioritizationStrategy({ items, size });
      const total = chosen.reduce((sum, { processAmount }) => sum + processAmount, 0);
      const places = chosen.map(({ item: one }) => items.indexOf(one));
      expect(total).toBe(
        Math.min(
          size,
          each.reduce((sum, length) => sum + length, 0),
        ),
      );
      expect(chosen.every((one) => one.processAmount >= 1 && one.processAmount <= one.item.tokens.length)).toBe(true);
      expect(places).toEqual([...new Set(places)].toSorted((a, b) => a - b));
    }),
  );
});
