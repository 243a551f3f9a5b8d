import { expect, it } from 'vitest';
import type { Headers } from './middleware.ts';
import { responseHeaders } from './response-headers.ts';

it('renames, then removes, then sets, whatever the case of the names', () => {
  const change = responseHeaders({
    rename: { 'X-Old': 'X-New' },
    remove: ['X-Gone'],
    set: { 'X-Set': 'mine' },
  }).response;
  const headers: Headers = { 'x-old': ['1', '2'], 'x-gone': 'a', 'x-set': 'theirs', 'x-kept': 'b' };
  change?.(headers);
  expect(headers).toEqual({ 'x-new': ['1', '2'], 'x-set': 'mine', 'x-kept': 'b' });
});

it('makes none of what is not there', () => {
  const headers: Headers = {};
  responseHeaders({ rename: { 'x-old': 'x-new' }, remove: ['x-gone'] }).response?.(headers);
  expect(headers).toEqual({});
});
