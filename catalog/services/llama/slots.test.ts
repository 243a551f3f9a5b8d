import { describe, expect, it } from 'vitest';
import { chooseSlot, commonPrefix, createSlotPool, longestPrefix } from './slots.ts';

const run = (from: number, length: number) => Array.from({ length }, (_, index) => from + index);
const never = new AbortController().signal;
const pool = (slots: number, held: readonly (readonly number[])[] = [], maxWaiting = 8) =>
  createSlotPool({ slots, maxWaiting, held: (slot) => held[slot] ?? [] });

describe('choice of a slot', () => {
  it('goes on where the conversation is', () => {
    const idle = [
      { id: 0, held: [], usedAt: 0 },
      { id: 1, held: run(0, 40), usedAt: 5 },
      { id: 2, held: run(500, 40), usedAt: 1 },
    ];
    expect(chooseSlot(idle, run(0, 60))).toBe(1);
  });

  it('leaves a conversation alone that shares only its beginning, and takes an empty slot', () => {
    const other = [...run(0, 10), ...run(900, 90)];
    const idle = [
      { id: 0, held: other, usedAt: 1 },
      { id: 1, held: [], usedAt: 0 },
    ];
    expect(chooseSlot(idle, [...run(0, 10), ...run(200, 50)])).toBe(1);
  });

  it('takes the one unused for longest where nothing is gained', () => {
    const idle = [
      { id: 0, held: run(100, 9), usedAt: 4 },
      { id: 1, held: run(200, 9), usedAt: 2 },
      { id: 2, held: run(300, 9), usedAt: 3 },
    ];
    expect(chooseSlot(idle, run(0, 5))).toBe(1);
    expect(chooseSlot([], run(0, 5))).toBeUndefined();
  });

  it('measures a prefix up to the first difference', () => {
    expect(commonPrefix([1, 2, 3], [1, 2, 4])).toBe(2);
    expect(commonPrefix([], [1])).toBe(0);
    expect(commonPrefix([1, 2], [1, 2, 3])).toBe(2);
  });
});

describe('slot pool', () => {
  it('serves those who wait in the order they came', async () => {
    const slots = pool(1);
    const first = await slots.acquire([], never);
    const order: number[] = [];
    const waiting = [1, 2, 3].map(async (name) => {
      const lease = await slots.acquire([], never);
      order.push(name);
      lease.release();
    });
    expect(slots.stats()).toEqual({ total: 1, busy: 1, waiting: 3 });
    first.release();
    await Promise.all(waiting);
    expect(order).toEqual([1, 2, 3]);
    expect(slots.stats()).toEqual({ total: 1, busy: 0, waiting: 0 });
  });

  it('forgets one that leaves while waiting', async () => {
    const slots = pool(1);
    const first = await slots.acquire([], never);
    const control = new AbortController();
    const leaving = slots.acquire([], control.signal);
    const staying = slots.acquire([], never);
    control.abort(new Error('left'));
    await expect(leaving).rejects.toThrow('left');
    first.release();
    expect((await staying).id).toBe(0);
    expect(slots.stats()).toEqual({ total: 1, busy: 1, waiting: 0 });
  });

  it('gives a slot back only once', async () => {
    const slots = pool(1);
    const first = await slots.acquire([], never);
    first.release();
    const second = await slots.acquire([], never);
    first.release();
    expect(slots.stats().busy).toBe(1);
    second.release();
    expect(slots.stats().busy).toBe(0);
  });

  it('refuses the one too many, and everyone once closed', async () => {
    const slots = pool(1, [], 1);
    await slots.acquire([], never);
    const waiting = slots.acquire([], never);
    await expect(slots.acquire([], never)).rejects.toMatchObject({ api: { status: 429, retryAfter: 5 } });
    slots.close();
    await expect(waiting).rejects.toMatchObject({ api: { status: 503 } });
    await expect(slots.acquire([], never)).rejects.toMatchObject({ api: { status: 503 } });
  });
});

it('finds who begins most like a prompt', () => {
  const slots = [
    { id: 0, held: [1, 2] },
    { id: 1, held: [1, 2, 3, 9] },
    { id: 2, held: [] },
  ];
  expect(longestPrefix(slots, [1, 2, 3, 4])).toEqual({ id: 1, common: 3 });
  expect(longestPrefix(slots, [7])).toEqual({ id: -1, common: 0 });
});
