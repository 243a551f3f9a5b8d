import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { add, createAgenda, first, take } from './agenda.ts';
import type { Entry } from './agenda.ts';

describe('the agenda', () => {
  it('gives out by time, and what falls on the same time as it was set down', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(5), { maxLength: 60 }), (times) => {
        const entries = times.map((at, seq) => ({ at, seq }));
        const agenda = createAgenda<Entry>();
        for (const entry of entries) add(agenda, entry);
        const taken = entries.map(() => {
          const top = first(agenda);
          expect(take(agenda)).toBe(top);
          return top;
        });
        expect(taken).toEqual([...entries].sort((a, b) => a.at - b.at || a.seq - b.seq));
        expect(take(agenda)).toBeUndefined();
      }),
    );
  });

  it('takes in more while it gives out', () => {
    const agenda = createAgenda<Entry>();
    for (const [seq, at] of [5, 1, 3].entries()) add(agenda, { at, seq });
    expect(take(agenda)?.at).toBe(1);
    add(agenda, { at: 2, seq: 9 });
    add(agenda, { at: 5, seq: 10 });
    expect([take(agenda), take(agenda), take(agenda), take(agenda)].map((entry) => entry?.seq)).toEqual([9, 2, 0, 10]);
  });
});
