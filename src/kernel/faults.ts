/**
 * The one table of error codes. `status` is what HTTP callers get, `retry` whether asking again later can help,
 * `title` the sentence a person reads first. Each API's own error shape is derived from it (`edge/errors.ts`).
 */
export const faults = {
  BAD_REQUEST: { status: 400, retry: false, title: 'The request is not valid' },
  CONTEXT_TOO_LONG: { status: 400, retry: false, title: 'The prompt does not fit the context' },
  UNAUTHENTICATED: { status: 401, retry: false, title: 'A key is needed' },
  FORBIDDEN: { status: 403, retry: false, title: 'This key may not do that' },
  NOT_FOUND: { status: 404, retry: false, title: 'Not found' },
  METHOD_NOT_ALLOWED: { status: 405, retry: false, title: 'Method not allowed' },
  REQUEST_TIMEOUT: { status: 408, retry: true, title: 'The request came too slowly' },
  CONFLICT: { status: 409, retry: false, title: 'The state does not allow it' },
  TOO_LARGE: { status: 413, retry: false, title: 'The request is too large' },
  ADDRESS_TOO_LONG: { status: 414, retry: false, title: 'The address is too long' },
  RATE_LIMITED: { status: 429, retry: true, title: 'A limit is reached' },
  QUEUE_FULL: { status: 429, retry: true, title: 'Too many requests are waiting' },
  HEADERS_TOO_LARGE: { status: 431, retry: false, title: 'The headers are too large' },
  CANCELLED: { status: 499, retry: false, title: 'The caller left' },
  INTERNAL: { status: 500, retry: false, title: 'A fault of the platform' },
  NOT_SUPPORTED: { status: 501, retry: false, title: 'Not supported' },
  UPSTREAM_FAILED: { status: 502, retry: true, title: 'The service did not answer properly' },
  NO_MEMORY: { status: 503, retry: true, title: 'Not enough memory' },
  START_FAILED: { status: 503, retry: true, title: 'The service could not be started' },
  WAKING: { status: 503, retry: true, title: 'The service is waking' },
  SHUTTING_DOWN: { status: 503, retry: true, title: 'The platform is stopping' },
  CIRCUIT_OPEN: { status: 503, retry: true, title: 'The service is failing and is left alone for a while' },
  TIMEOUT: { status: 504, retry: true, title: 'It took too long' },
  DISK_FULL: { status: 507, retry: true, title: 'The disk is full' },
} as const satisfies Record<string, { status: number; retry: boolean; title: string }>;

export type FaultCode = keyof typeof faults;

export interface FaultOptions {
  readonly cause?: unknown;
  /** Seconds after which asking again is worth while; becomes `Retry-After`. Left out rather than guessed. */
  readonly retryAfter?: number;
  /** Facts for programs, JSON only, never secrets: bytes on both sides, position, phase, places. */
  readonly details?: Readonly<Record<string, unknown>>;
  /** The request's parameter or the definition's key that is wrong. */
  readonly param?: string;
  /** Who spoke. `gateway` unless an upstream said so. */
  readonly source?: 'gateway' | 'upstream';
}

/** What anybody can cause as often as he likes. Where in the code it arose tells nobody anything, and costs more than the rest of it. */
const withoutStack: ReadonlySet<FaultCode> = new Set(['UNAUTHENTICATED', 'RATE_LIMITED']);

/** An error with a code of the table. Its message names the place and what to do; it may be shown to any caller. */
export class Fault extends Error {
  readonly code: FaultCode;
  readonly retryAfter: number | undefined;
  readonly details: Readonly<Record<string, unknown>>;
  readonly param: string | undefined;
  readonly source: 'gateway' | 'upstream';

  constructor(code: FaultCode, message: string, options: FaultOptions = {}) {
    const { stackTraceLimit } = Error;
    if (withoutStack.has(code)) Error.stackTraceLimit = 0;
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    Error.stackTraceLimit = stackTraceLimit;
    this.name = 'Fault';
    this.code = code;
    this.retryAfter = options.retryAfter;
    this.details = options.details ?? {};
    this.param = options.param;
    this.source = options.source ?? 'gateway';
  }
}

/** Makes whatever was thrown a Fault. Everything unknown is INTERNAL, with the original as its cause. */
export function toFault(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  if (isDiskFull(thrown)) {
    return new Fault('DISK_FULL', 'The disk is full: free some space and ask again.', { cause: thrown });
  }
  if (thrown instanceof Error && thrown.name === 'TimeoutError') {
    return new Fault('TIMEOUT', 'It took too long.', { cause: thrown });
  }
  if (isAbort(thrown)) return new Fault('CANCELLED', 'The caller left.', { cause: thrown });
  return new Fault('INTERNAL', thrown instanceof Error ? thrown.message : String(thrown), { cause: thrown });
}

/** SQLite has a number for it (SQLITE_FULL), which Node hands on beside a code that all its errors have. */
function isDiskFull(thrown: unknown): boolean {
  const code = systemCode(thrown);
  if (code === 'ERR_SQLITE_ERROR') return (thrown as { readonly errcode?: unknown }).errcode === 13;
  return code === 'ENOSPC' || code === 'EDQUOT';
}

/** The `code` of a Node system error (`ENOENT`, `EADDRINUSE` ...), when there is one. */
export function systemCode(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

export const isAbort = (thrown: unknown): boolean =>
  thrown instanceof Error && (thrown.name === 'AbortError' || systemCode(thrown) === 'ABORT_ERR');
