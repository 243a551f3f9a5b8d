import type { ApiProblem } from '#contracts/api';
import { faults } from '#kernel/faults';
import type { Fault, FaultCode } from '#kernel/faults';

/** OpenAI's error `type` for each code; its clients choose their exception class by status, people read this. */
const openaiTypes: Record<FaultCode, string> = {
  BAD_REQUEST: 'invalid_request_error',
  CONTEXT_TOO_LONG: 'invalid_request_error',
  UNAUTHENTICATED: 'authentication_error',
  FORBIDDEN: 'permission_error',
  NOT_FOUND: 'invalid_request_error',
  METHOD_NOT_ALLOWED: 'invalid_request_error',
  CONFLICT: 'invalid_request_error',
  TOO_LARGE: 'invalid_request_error',
  QUEUE_FULL: 'rate_limit_error',
  CANCELLED: 'invalid_request_error',
  INTERNAL: 'server_error',
  NOT_SUPPORTED: 'invalid_request_error',
  UPSTREAM_FAILED: 'server_error',
  NO_MEMORY: 'server_error',
  START_FAILED: 'server_error',
  WAKING: 'server_error',
  SHUTTING_DOWN: 'server_error',
  CIRCUIT_OPEN: 'server_error',
  TIMEOUT: 'server_error',
  DISK_FULL: 'server_error',
};

/** OpenAI's own names for codes that its clients know; the rest go by ours in lower case. */
const openaiCodes: Partial<Record<FaultCode, string>> = {
  CONTEXT_TOO_LONG: 'context_length_exceeded',
  UNAUTHENTICATED: 'invalid_api_key',
  QUEUE_FULL: 'rate_limit_exceeded',
};

export function openaiError(fault: Fault, traceId: string): Record<string, unknown> {
  const code = fault.code === 'NOT_FOUND' && fault.param === 'model' ? 'model_not_found' : undefined;
  return {
    error: {
      message: fault.message,
      type: openaiTypes[fault.code],
      param: fault.param ?? null,
      code: code ?? openaiCodes[fault.code] ?? fault.code.toLowerCase(),
      source: fault.source,
      trace_id: traceId,
      ...(Object.keys(fault.details).length > 0 ? { details: fault.details } : {}),
    },
  };
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
