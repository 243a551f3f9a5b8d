import { expect, test } from 'vitest';
import { count, formatCount } from './test-summary.ts';
import type { Report } from './test-summary.ts';

const report = (passed: number, failed: number, pending: number, todo: number, broken = 0): Report => ({
  numPassedTests: passed,
  numFailedTests: failed,
  numPendingTests: pending,
  numTodoTests: todo,
  testResults: [
    { status: 'passed', assertionResults: [{}] },
    ...Array.from({ length: broken }, () => ({ status: 'failed', assertionResults: [] })),
    ...(failed > 0 ? [{ status: 'failed', assertionResults: [{}] }] : []),
  ],
});

test('adds up the reports', () => {
  expect(count([report(3, 1, 2, 1), report(4, 0, 0, 0)])).toEqual({ passed: 7, failed: 1, skipped: 3 });
});

test('counts a file that could not be loaded as failed', () => {
  expect(formatCount(count([report(3, 0, 0, 0, 2)]))).toBe('3 passed, 2 failed, 0 skipped');
});

test('counts nothing when nothing ran', () => {
  expect(formatCount(count([]))).toBe('0 passed, 0 failed, 0 skipped');
});
