import { Fault } from '#kernel/faults';
import type { FaultCode } from '#kernel/faults';
import { isRecord } from '#kernel/json';

/** The value of a JSON text; undefined for what is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const codes: Readonly<Record<number, FaultCode>> = {
  400: 'BAD_REQUEST',
  404: 'NOT_SUPPORTED',
  405: 'NOT_SUPPORTED',
  413: 'TOO_LARGE',
  422: 'BAD_REQUEST',
  429: 'QUEUE_FULL',
  501: 'NOT_SUPPORTED',
};

/** What an engine refused a request with, in OpenAI's shape, as ours. A key that it did not take is no fault of the caller's. */
export function refusalOf(status: number, text: string): Fault {
  const value = parsed(text);
  const error = isRecord(value) && isRecord(value.error) ? value.error : {};
  const plain = isRecord(value) && typeof value.error === 'string' ? value.error : undefined;
  const message = typeof error.message === 'string' ? error.message : (plain ?? `The engine answered with ${status}.`);
  const tooLong = error.code === 'context_length_exceeded' || error.type === 'exceed_context_size_error';
  const code = tooLong ? 'CONTEXT_TOO_LONG' : (codes[status] ?? 'UPSTREAM_FAILED');
  return new Fault(code, message, {
    source: 'upstream',
    ...(typeof error.param === 'string' ? { param: error.param } : {}),
    ...(status === 429 || status >= 500 ? { retryAfter: 1 } : {}),
  });
}
