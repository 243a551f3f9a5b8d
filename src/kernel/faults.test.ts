import { describe, expect, it } from 'vitest';
import { Fault, faults, isAbort, systemCode, toFault } from './faults.ts';

const coded = (code: unknown) => Object.assign(new Error('system'), { code });

describe('toFault', () => {
  it.each([
    [coded('ENOSPC'), 'DISK_FULL'],
    [coded('EDQUOT'), 'DISK_FULL'],
    [new DOMException('left', 'AbortError'), 'CANCELLED'],
    [coded('ABORT_ERR'), 'CANCELLED'],
    [new DOMException('late', 'TimeoutError'), 'TIMEOUT'],
    [new TypeError('oops'), 'INTERNAL'],
    ['a text', 'INTERNAL'],
    [undefined, 'INTERNAL'],
  ])('of %s is %s, with the original as its cause', (thrown, code) => {
    const fault = toFault(thrown);
    expect(fault.code).toBe(code);
    expect(fault.cause).toBe(thrown);
  });

  it('leaves a Fault as it is', () => {
    const fault = new Fault('NO_MEMORY', 'No room.', { retryAfter: 3, details: { need: 1 }, param: 'model' });
    expect(toFault(fault)).toBe(fault);
    expect(fault).toMatchObject({ retryAfter: 3, details: { need: 1 }, param: 'model', source: 'gateway' });
  });
});

it('reads system codes and nothing that resembles them', () => {
  expect(systemCode(coded('ENOENT'))).toBe('ENOENT');
  expect(systemCode(new DOMException('left', 'AbortError'))).toBeUndefined();
  expect([systemCode(null), systemCode('ENOENT'), systemCode({})]).toEqual([undefined, undefined, undefined]);
  expect([isAbort(new Error('no')), isAbort('AbortError')]).toEqual([false, false]);
});

it('answers a client error for what asking again cannot help, save for a full queue and a slow body', () => {
  const retried = Object.entries(faults).filter(([, { status, retry }]) => retry && status < 500);
  expect(retried.map(([code]) => code)).toEqual(['REQUEST_TIMEOUT', 'RATE_LIMITED', 'QUEUE_FULL']);
});

it('knows where it arose, but where anybody can make thousands of it a second; other errors keep theirs', () => {
  const { stackTraceLimit } = Error;
  const stackOf = (code: 'UNAUTHENTICATED' | 'RATE_LIMITED' | 'INTERNAL') => new Fault(code, 'x').stack ?? '';
  expect(stackOf('UNAUTHENTICATED') + stackOf('RATE_LIMITED')).not.toContain('\n');
  expect(stackOf('INTERNAL')).toContain('faults.test.ts');
  expect(Error.stackTraceLimit).toBe(stackTraceLimit);
});
