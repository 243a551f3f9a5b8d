import { expect, it } from 'vitest';
import { globOf } from './glob.ts';

it.each([
  ['a-*', 'a-b', true],
  ['a-*', 'a', false],
  ['*', '', true],
  ['a*a', 'a', false],
  ['a*a', 'aa', true],
  ['*b*d*', 'abcde', true],
  ['*d*b*', 'abcde', false],
  ['a.c', 'abc', false],
  ['*ab', 'abab', true],
  ['*a'.repeat(20) + 'b', 'a'.repeat(100_000), false],
])('%s fits %s: %s', (pattern, text, expected) => expect(globOf(pattern)(text)).toBe(expected));
