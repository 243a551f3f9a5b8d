import { describe, expect, it } from 'vitest';
import { createCanary, defaultCanary } from './canary.ts';

const settings = { ...defaultCanary, share: 0.1 };

describe('a canary', () => {
  it('takes its share', () => {
    let n = 0;
    const canary = createCanary(settings, () => (n++ % 100) / 100);
    expect(Array.from({ length: 1_000 }, () => canary.takes()).filter(Boolean).length).toBe(100);
  });

  it('is withdrawn once it fails more than the others, and says so', () => {
    const canary = createCanary(settings, () => 0);
    for (let n = 0; n < 100; n++) canary.record(false, n % 50 === 0, n);
    for (let n = 0; n < 19; n++) canary.record(true, n === 18, n);
    expect(canary.takes()).toBe(true);
    canary.record(true, true, 200);
    expect(canary.takes()).toBe(false);
    expect(canary.view()).toEqual({
      ...{ state: 'withdrawn', at: 200, why: "2 of its 20 answers failed, against 2.0 % of the others'" },
    });
  });

  it('that never answers is withdrawn after a few', () => {
    const canary = createCanary(settings, () => 0);
    for (let n = 0; n < 4; n++) canary.record(true, true, n);
    expect(canary.takes()).toBe(true);
    canary.record(true, true, 5);
    expect(canary.takes()).toBe(false);
  });

  it('is not blamed for what fails everywhere', () => {
    const canary = createCanary(settings, () => 0);
    for (let n = 0; n < 100; n++) {
      canary.record(false, n % 2 === 0, n);
      canary.record(true, n % 2 === 0, n);
    }
    expect(canary.takes()).toBe(true);
  });
});
