/** The body OpenAI answers a failed request with; its clients turn it into their typed errors. */
export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    readonly param: string | null;
    readonly code: string | null;
  };
}

/** A failure that has an answer: a status, a body in OpenAI's shape, and seconds to wait where trying again may help. */
export interface ApiError extends Error {
  readonly api: { readonly status: number; readonly body: ErrorBody; readonly retryAfter?: number };
}

export interface ApiErrorFields {
  readonly param?: string | undefined;
  readonly code?: string;
  readonly type?: string;
  readonly retryAfter?: number;
}

export function apiError(status: number, message: string, fields: ApiErrorFields = {}): ApiError {
  const type = fields.type ?? (status >= 500 ? 'server_error' : 'invalid_request_error');
  const body: ErrorBody = { error: { message, type, param: fields.param ?? null, code: fields.code ?? null } };
  const { retryAfter } = fields;
  return Object.assign(new Error(message), {
    api: { status, body, ...(retryAfter === undefined ? {} : { retryAfter }) },
  });
}

export const isApiError = (error: unknown): error is ApiError =>
  error instanceof Error && 'api' in error && error.api !== null;

/**
 * Any failure as one that can be answered. What the engine says of itself goes to the log, never to the client: it may
 * name paths of this machine.
 */
export const toApiError = (error: unknown): ApiError =>
  isApiError(error)
    ? error
    : apiError(500, 'The engine failed on this request. Its log says why.', { code: 'engine_failed' });

export const badParam = (param: string, message: string, code?: string): ApiError =>
  apiError(400, message, { param, ...(code === undefined ? {} : { code }) });

/** OpenAI's wording for a prompt that cannot be held: clients look for the code, people for both numbers. */
export function contextExceeded(limit: number, tokens: number, param: string, atLeast = false): ApiError {
  const held = `${atLeast ? 'at least ' : ''}${String(tokens)} tokens`;
  return badParam(
    param,
    `This model's maximum context length is ${String(limit)} tokens. However, your ${param} resulted in ${held}. ` +
      `Please reduce the length of the ${param}.`,
    'context_length_exceeded',
  );
}
