import { describe, expect, it } from 'vitest';
import { judge } from './answer.ts';

const answer = (status: number, headers: Readonly<Record<string, string>> = {}) => ({
  status,
  header: (name: string) => headers[name],
});

describe('judge', () => {
  it.each([
    ['continues', 206, { 'content-range': 'bytes 10-99/100' }, { kind: 'append' }],
    ['continues a file of unknown length', 206, { 'content-range': 'bytes 10-99/*' }, { kind: 'append' }],
    ['another place', 206, { 'content-range': 'bytes 0-99/100' }, { kind: 'discard' }],
    ['another length', 206, { 'content-range': 'bytes 10-98/99' }, { kind: 'discard' }],
    ['several ranges', 206, { 'content-type': 'multipart/byteranges' }, { kind: 'discard' }],
    [
      'whole',
      200,
      { etag: '"2"', 'content-length': '70' },
      { kind: 'restart', origin: { validator: '"2"', total: 70 } },
    ],
    [
      'whole, weakly named',
      200,
      { etag: 'W/"2"', 'last-modified': 'then' },
      { kind: 'restart', origin: { validator: 'then' } },
    ],
    ['whole, unnamed', 200, {}, { kind: 'restart', origin: {} }],
    ['compressed', 200, { 'content-encoding': 'gzip' }, { kind: 'fail', code: 'UPSTREAM_FAILED' }],
    ['all here', 416, { 'content-range': 'bytes */10' }, { kind: 'complete' }],
    ['shorter', 416, { 'content-range': 'bytes */9' }, { kind: 'discard' }],
    ['busy', 429, { 'retry-after': '3' }, { kind: 'retry', afterMs: 3000 }],
    ['busy for hours', 429, { 'retry-after': '7200' }, { kind: 'fail', code: 'UPSTREAM_FAILED' }],
    ['overloaded', 503, {}, { kind: 'retry' }],
    ['missing', 404, {}, { kind: 'fail', code: 'NOT_FOUND' }],
    ['private', 403, {}, { kind: 'fail', code: 'FORBIDDEN' }],
    ['nonsense', 418, {}, { kind: 'fail', code: 'UPSTREAM_FAILED' }],
  ])('%s', (_, status, headers, verdict) => {
    expect(judge(answer(status, headers as Readonly<Record<string, string>>), 10, { total: 100 })).toMatchObject(
      verdict,
    );
  });
});
