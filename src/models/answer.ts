import type { FaultCode } from '#kernel/faults';
import type { Origin } from './partial.ts';

/** What an answer to a download's request means for the bytes that are here already. */
export type Verdict =
  | { readonly kind: 'append' }
  | { readonly kind: 'restart'; readonly origin: Origin }
  | { readonly kind: 'complete' }
  | { readonly kind: 'discard'; readonly reason: string }
  | { readonly kind: 'retry'; readonly reason: string; readonly afterMs?: number }
  | { readonly kind: 'fail'; readonly code: FaultCode; readonly reason: string };

interface Answer {
  readonly status: number;
  header(name: string): string | undefined;
}

const passing = new Set([408, 425, 429, 500, 502, 503, 504]);
/** A server that asks for more patience than this is treated as failing: another source may have the file. */
const longestWaitMs = 60_000;

/**
 * Judges an answer (RFC 9110, sections 14 and 15) against `have` bytes of the file that `origin` identifies.
 * 1. 206 that continues exactly where the bytes end, of a file of the same length: append.
 * 2. 206 of anything else: the bytes can not be continued, discard them.
 * 3. 200: the server ignored the range or its file changed; its body is the whole file: restart.
 * 4. 416: complete when the server's length is what is here, else discard.
 * 5. What passes by itself (busy, overloaded): retry, after what the server asks for.
 * 6. Everything else: fail, with the reason for people.
 */
export function judge(answer: Answer, have: number, origin: Origin): Verdict {
  const { status } = answer;
  if (status === 206) {
    const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(answer.header('content-range') ?? '');
    const total = range?.[2] === '*' ? undefined : Number(range?.[2]);
    const same = total === undefined || origin.total === undefined || total === origin.total;
    if (range && Number(range[1]) === have && same) return { kind: 'append' }; // 1
    return { kind: 'discard', reason: 'the server continued at another place than asked' }; // 2
  }
  const encoding = answer.header('content-encoding') ?? 'identity';
  if (status === 200 && encoding !== 'identity') {
    return {
      kind: 'fail',
      code: 'UPSTREAM_FAILED',
      reason: `sends the file encoded as ${encoding}, which was not asked for`,
    };
  }
  if (status === 200) return { kind: 'restart', origin: originOf(answer) }; // 3
  if (status === 416) {
    const length = /^bytes \*\/(\d+)$/.exec(answer.header('content-range') ?? '')?.[1];
    if (have > 0 && Number(length) === have) return { kind: 'complete' }; // 4
    return { kind: 'discard', reason: 'the server has a shorter file now' };
  }
  if (passing.has(status)) {
    const afterMs = retryAfter(answer.header('retry-after'));
    const patient = afterMs === undefined || afterMs <= longestWaitMs;
    const reason = `answers ${status}`;
    if (patient) return { kind: 'retry', reason, ...(afterMs !== undefined && { afterMs }) }; // 5
  }
  return { kind: 'fail', ...refusal(status) }; // 6
}

function refusal(status: number): { readonly code: FaultCode; readonly reason: string } {
  if (status === 404 || status === 410) return { code: 'NOT_FOUND', reason: `does not have the file (${status})` };
  if (status === 401 || status === 403)
    return { code: 'FORBIDDEN', reason: `does not give it without permission (${status})` };
  return { code: 'UPSTREAM_FAILED', reason: `answers ${status}` };
}

/** A weak ETag promises the same meaning, not the same bytes: `If-Range` may not be asked with it. */
function originOf(answer: Answer): Origin {
  const etag = answer.header('etag');
  const validator = etag?.startsWith('"') ? etag : answer.header('last-modified');
  const length = Number(answer.header('content-length') ?? Number.NaN);
  return {
    ...(validator !== undefined && { validator }),
    ...(Number.isSafeInteger(length) && { total: length }),
  };
}

/** Milliseconds of a `Retry-After` in seconds; its date form is left to the usual backoff. */
function retryAfter(value: string | undefined): number | undefined {
  return value !== undefined && /^\d+$/.test(value.trim()) ? Number(value) * 1000 : undefined;
}
