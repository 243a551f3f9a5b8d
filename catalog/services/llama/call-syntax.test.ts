import { expect, it } from 'vitest';
import { markerOf } from './call-syntax.ts';

it('knows a call by the mark it begins with, or by all of its beginning where there is none', () => {
  expect(markerOf('<tool_call>\n{"name": "')).toBe('<tool_call>');
  expect(markerOf('||call: ')).toBe('||call:');
  expect(markerOf('[TOOL_CALLS][{"name": "')).toBe('[TOOL_CALLS][{"name": "');
  expect(markerOf('{"name": "')).toBe('{"name": "');
});
