import { expect, it } from 'vitest';
import { createLatency } from './latency.ts';

it('takes a peak at once, and forgets it by and by', () => {
  const latency = createLatency(1_000);
  expect(latency.value(0)).toBeNull();
  latency.observe(10, 0);
  latency.observe(500, 10);
  expect(latency.value(10)).toBe(500);
  latency.observe(10, 510);
  const eased = latency.value(510) ?? 0;
  expect(eased).toBeGreaterThan(250);
  expect(eased).toBeLessThan(350);
  expect(latency.value(5_510)).toBeLessThan(3);
});
