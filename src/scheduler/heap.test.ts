import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createHeap, first, pop, push } from './heap.ts';
import type { Entry } from './heap.ts';

describe('the heap', () => {
  it('gives out by time, and what falls on the same time as it was set down', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { maxLength: 60 }), (times) => {
        const entries = times.map((at, seq) => ({ at, seq }));
        const heap = createHeap<Entry>();
        for (const entry of entries) push(heap, entry);
        const taken = entries.map(() => {
          const top = first(heap);
          expect(pop(heap)).toBe(top);
          return top;
        });
        expect(taken).toEqual([...entries].sort((a, b) => a.at - b.at || a.seq - b.seq));
        expect(pop(heap)).toBeUndefined();
      }),
    );
  });

  it('takes in more while it gives out', () => {
    const heap = createHeap<Entry>();
    for (const [seq, at] of [5, 1, 3].entries()) push(heap, { at, seq });
    expect(pop(heap)?.at).toBe(1);
    push(heap, { at: 2, seq: 9 });
    push(heap, { at: 5, seq: 10 });
    expect([pop(heap), pop(heap), pop(heap), pop(heap)].map((entry) => entry?.seq)).toEqual([9, 2, 0, 10]);
  });
});
