import { expect, it } from 'vitest';
import { createPace } from './pace.ts';

it('begins with half, and takes as much as fits into the time', () => {
  const pace = createPace(32, 100);
  expect(pace.size()).toBe(16);
  pace.took(16, 16);
  expect(pace.size()).toBe(32);
  for (let i = 0; i < 20; i++) pace.took(32, 32 * 5);
  expect(pace.size()).toBe(16);
});

it('never takes less than eight, nor more than there may be', () => {
  const pace = createPace(4, 100);
  expect(pace.size()).toBe(4);
  const slow = createPace(64, 100);
  slow.took(8, 8_000);
  expect(slow.size()).toBe(8);
});

it('forgets a moment of trouble', () => {
  const pace = createPace(32, 100);
  pace.took(16, 16_000);
  for (let i = 0; i < 30; i++) pace.took(8, 8);
  expect(pace.size()).toBe(32);
});
