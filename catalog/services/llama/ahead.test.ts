import { describe, expect, it } from 'vitest';
import { ahead } from './ahead.ts';

function counting(end = Infinity) {
  const state = { begun: 0, made: 0, closed: false };
  async function* source() {
    try {
      while (state.begun < end) {
        state.begun++;
        await Promise.resolve();
        yield ++state.made;
      }
    } finally {
      state.closed = true;
    }
  }
  return { state, source: source() };
}

describe('ahead', () => {
  it('begins the next before it hands one on, in order and to the end', async () => {
    const { state, source } = counting(3);
    const seen: [number, number][] = [];
    for await (const value of ahead(source, Infinity)) seen.push([value, state.begun]);
    expect(seen).toEqual([
      [1, 2],
      [2, 3],
      [3, 3],
    ]);
    expect(state.closed).toBe(true);
  });

  it('begins nothing beyond its limit', async () => {
    const { state, source } = counting();
    const seen: number[] = [];
    for await (const value of ahead(source, 2)) seen.push(value);
    expect(seen).toEqual([1, 2]);
    expect(state).toEqual({ begun: 2, made: 2, closed: true });
  });

  it('left early, waits for what was begun and closes its source', async () => {
    const { state, source } = counting();
    for await (const value of ahead(source, 10)) if (value === 1) break;
    expect(state).toEqual({ begun: 2, made: 2, closed: true });
  });

  it('tells of each value before the next is begun', async () => {
    const { state, source } = counting(3);
    const told: [number, number][] = [];
    for await (const _ of ahead(source, Infinity, (value) => told.push([value, state.begun]))) continue;
    expect(told).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
  });

  it('throws what its source throws, where it belongs', async () => {
    async function* broken() {
      yield 1;
      await Promise.resolve();
      throw new Error('broken');
    }
    const seen: number[] = [];
    const all = async () => {
      for await (const value of ahead(broken(), Infinity)) seen.push(value);
    };
    await expect(all()).rejects.toThrow('broken');
    expect(seen).toEqual([1]);
  });
});
