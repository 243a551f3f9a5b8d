import { expect, it } from 'vitest';
import { count, formatBytes, formatClock, formatSpan } from './format.ts';
import { progressText } from './progress.ts';

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [455 * 2 ** 20, '455 MiB'],
  [1.5 * 2 ** 30, '1.5 GiB'],
  [12.34 * 2 ** 30, '12.3 GiB'],
  [2 ** 50, '1024 TiB'],
])('%d bytes read %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

it.each([
  [-5, '0 s'],
  [8_400, '8 s'],
  [60_000, '1 min'],
  [2 * 3_600_000, '2 h'],
  [2.5 * 3_600_000, '2 h 30 min'],
  [100 * 3_600_000, '4 d'],
])('%d ms read %s', (ms, text) => expect(formatSpan(ms)).toBe(text));

it('shows a time it cannot read as it came', () => {
  expect(formatClock('yesterday')).toBe('yesterday');
  expect(formatClock('2026-01-01T10:20:30')).toBe('10:20:30');
});

it('counts in words', () => {
  expect([count(0, 'request'), count(1, 'request'), count(2, 'request')]).toEqual([
    '0 requests',
    '1 request',
    '2 requests',
  ]);
});

it('tells of progress only what the platform said, and counts the estimate down', () => {
  const progress = { phase: 'starting', what: 'weights', percent: 40.4, position: 2, estimateMs: 5000 };
  expect(progressText(progress, 2000)).toBe('starting: weights · position 2 · 40 % · about 3 s left');
  expect(progressText(progress, 9000)).toContain('any moment');
  expect(progressText({ phase: 'queued' }, 0)).toBe('queued');
});
