import { fields, parseJson, text } from './decode.ts';

/**
 * A request that the platform refused, or that never reached it (`status` 0). The message is meant for people;
 * `traceId` finds the request in the platform's logs.
 */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  readonly status: number;
  readonly code: string;
  readonly traceId: string | null;

  constructor(message: string, about: { status: number; code: string; traceId?: string | null; cause?: unknown }) {
    super(message, { cause: about.cause });
    this.status = about.status;
    this.code = about.code;
    this.traceId = about.traceId ?? null;
  }
}

/** Reads an error body in either form the platform speaks: RFC 9457 (`/sutaz/v1`) or OpenAI's `{ error }` (`/v1`). */
export function problemFrom(status: number, body: string, traceHeader: string | null = null): ApiProblem {
  const it = fields(parseJson(body));
  const openai = fields(it['error']);
  const message =
    text(openai['message']) || text(it['detail']) || text(it['title']) || `The platform answered ${status}.`;
  const code = text(openai['code']) || text(openai['type']) || text(it['code']) || `HTTP_${status}`;
  const traceId = text(it['traceId']) || text(openai['traceId']) || text(openai['trace_id']) || traceHeader;
  return new ApiProblem(message, { status, code, traceId });
}

/** Whatever was thrown as a problem: a failed `fetch` says only "Failed to fetch", which helps nobody. */
export function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error;
  if (error instanceof TypeError) {
    return new ApiProblem('The platform cannot be reached. Is it running? The command sutaz up starts it.', {
      status: 0,
      code: 'UNREACHABLE',
      cause: error,
    });
  }
  return new ApiProblem(error instanceof Error ? error.message : String(error), {
    status: 0,
    code: 'UNEXPECTED',
    cause: error,
  });
}
