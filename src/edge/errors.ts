import type { ApiProblem } from '#contracts/api';
import { faults } from '#kernel/faults';
import type { Fault, FaultCode } from '#kernel/faults';

/**
 * What OpenAI's clients know of each code: they choose their exception class by status, people read the `type`, programs
 * the `code`. Where OpenAI has no name of its own for it, the code is ours in lower case.
 */
const openai: Readonly<Record<FaultCode, { readonly type: string; readonly code: string }>> = {
  BAD_REQUEST: { type: 'invalid_request_error', code: 'bad_request' },
  CONTEXT_TOO_LONG: { type: 'invalid_request_error', code: 'context_length_exceeded' },
  UNAUTHENTICATED: { type: 'authentication_error', code: 'invalid_api_key' },
  FORBIDDEN: { type: 'permission_error', code: 'forbidden' },
  NOT_FOUND: { type: 'invalid_request_error', code: 'not_found' },
  METHOD_NOT_ALLOWED: { type: 'invalid_request_error', code: 'method_not_allowed' },
  REQUEST_TIMEOUT: { type: 'invalid_request_error', code: 'request_timeout' },
  CONFLICT: { type: 'invalid_request_error', code: 'conflict' },
  TOO_LARGE: { type: 'invalid_request_error', code: 'too_large' },
  ADDRESS_TOO_LONG: { type: 'invalid_request_error', code: 'address_too_long' },
  RATE_LIMITED: { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
  QUEUE_FULL: { type: 'rate_limit_error', code: 'rate_limit_exceeded' },
  HEADERS_TOO_LARGE: { type: 'invalid_request_error', code: 'headers_too_large' },
  CANCELLED: { type: 'invalid_request_error', code: 'cancelled' },
  INTERNAL: { type: 'server_error', code: 'internal' },
  NOT_SUPPORTED: { type: 'invalid_request_error', code: 'not_supported' },
  UPSTREAM_FAILED: { type: 'server_error', code: 'upstream_failed' },
  NO_MEMORY: { type: 'server_error', code: 'no_memory' },
  START_FAILED: { type: 'server_error', code: 'start_failed' },
  WAKING: { type: 'server_error', code: 'waking' },
  SHUTTING_DOWN: { type: 'server_error', code: 'shutting_down' },
  CIRCUIT_OPEN: { type: 'server_error', code: 'circuit_open' },
  TIMEOUT: { type: 'server_error', code: 'timeout' },
  DISK_FULL: { type: 'server_error', code: 'disk_full' },
};

export function openaiError(fault: Fault, traceId: string): Record<string, unknown> {
  const { type, code } = openai[fault.code];
  const noModel = fault.code === 'NOT_FOUND' && fault.param === 'model';
  return {
    error: {
      message: fault.message,
      type,
      param: fault.param ?? null,
      code: noModel ? 'model_not_found' : code,
      source: fault.source,
      trace_id: traceId,
      ...(Object.keys(fault.details).length > 0 ? { details: fault.details } : {}),
    },
  };
}

/** Anthropic's names; its clients choose their exception class by status. */
const anthropic: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
};

export function anthropicError(fault: Fault, traceId: string): Record<string, unknown> {
  const { status } = faults[fault.code];
  const type = anthropic[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
  return { type: 'error', error: { type, message: fault.message }, request_id: traceId };
}

/** RFC 9457. `details` become members of their own, after the standard ones. */
export function problemOf(fault: Fault, traceId: string): ApiProblem & Record<string, unknown> {
  return {
    ...fault.details,
    type: `urn:sutaz:fault:${fault.code.toLowerCase().replaceAll('_', '-')}`,
    title: faults[fault.code].title,
    status: faults[fault.code].status,
    code: fault.code,
    detail: fault.message,
    traceId,
    source: fault.source,
    ...(fault.param === undefined ? {} : { param: fault.param }),
    ...(fault.retryAfter === undefined ? {} : { retryAfter: fault.retryAfter }),
  };
}
