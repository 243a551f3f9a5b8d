import { describe, expect, it } from 'vitest';
import { createHedges, defaultHedge } from './hedge.ts';

describe('a hedge', () => {
  it('waits for the slowest few, once it knows what is slow', () => {
    const hedges = createHedges(defaultHedge);
    for (let n = 0; n < 49; n++) hedges.observe(10);
    expect(hedges.afterMs(0)).toBeNull();
    for (let n = 0; n < 46; n++) hedges.observe(10);
    for (let n = 0; n < 5; n++) hedges.observe(1_000);
    const afterMs = hedges.afterMs(0) ?? 0;
    expect(afterMs).toBeGreaterThanOrEqual(10);
    expect(afterMs).toBeLessThan(13);
    for (let n = 0; n < 5; n++) hedges.observe(1_000);
    expect(hedges.afterMs(0)).toBeGreaterThanOrEqual(1_000);
  });

  it('forgets what was slow long ago', () => {
    const hedges = createHedges(defaultHedge);
    for (let n = 0; n < 1_000; n++) hedges.observe(1_000);
    for (let n = 0; n < 20_000; n++) hedges.observe(10);
    expect(hedges.afterMs(0)).toBeLessThan(13);
  });

  it('sends at most its share', () => {
    const hedges = createHedges(defaultHedge);
    let taken = 0;
    for (let n = 0; n < 1_000; n++) {
      hedges.afterMs(n);
      if (hedges.take(n)) taken++;
    }
    expect(taken).toBe(100);
  });
});
