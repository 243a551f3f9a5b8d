import { describe, expect, it } from 'vitest';
import { memoryLimit } from './machine.ts';

const gib = 2 ** 30;

describe('the ledger limit', () => {
  it('is the machine less a tenth, at least one GiB', () => {
    const inputs = { cgroupBytes: null, configuredBytes: undefined, reserveBytes: undefined };
    expect(memoryLimit({ ...inputs, totalBytes: 20 * gib }).bytes).toBe(18 * gib);
    expect(memoryLimit({ ...inputs, totalBytes: 4 * gib }).bytes).toBe(3 * gib);
  });

  it('is the least of machine, control group and configuration, and says which', () => {
    const inputs = { totalBytes: 20 * gib, cgroupBytes: 8 * gib, configuredBytes: undefined, reserveBytes: gib };
    expect(memoryLimit(inputs)).toMatchObject({
      bytes: Math.floor(8 * gib * 0.95),
      reason: expect.stringContaining('control group'),
    });
    expect(memoryLimit({ ...inputs, configuredBytes: gib })).toMatchObject({
      bytes: gib,
      reason: expect.stringContaining('memory.limit'),
    });
    expect(memoryLimit({ ...inputs, cgroupBytes: 40 * gib }).bytes).toBe(19 * gib);
  });

  it('is never below nothing', () => {
    expect(
      memoryLimit({ totalBytes: gib / 2, cgroupBytes: null, configuredBytes: undefined, reserveBytes: gib }).bytes,
    ).toBe(0);
  });
});
