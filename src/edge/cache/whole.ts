import { isRecord } from '#kernel/json';
import type { AnswerHead } from '../transport/answer-head.ts';
import { headerOf } from '../transport/fields.ts';

/** Whether an answer is one that another request may be given: it succeeded, it is all there, and nobody forbade it. */
export function isKeepable({ status, headers }: AnswerHead, body: Buffer): boolean {
  if (status !== 200 || headerOf(headers, 'content-encoding') !== undefined) return false;
  if (/\b(no-store|private|no-cache)\b/i.test(headerOf(headers, 'cache-control') ?? '') && !isStream(headers))
    return false;
  return isStream(headers) ? isWholeStream(body) : isWholeObject(body);
}

/** Engines forbid caches with every stream, since what they mean is one that cuts it up. */
const isStream = (headers: AnswerHead['headers']): boolean =>
  headerOf(headers, 'content-type')?.startsWith('text/event-stream') === true;

/** An engine that fails in the middle of its stream says so by an event, and may well end it as it always does. */
function isWholeStream(body: Buffer): boolean {
  const text = body.toString('latin1');
  return /(^|\n)data: ?\[DONE\]\s*$/.test(text) && !/(^|\n)(event: ?error\b|data: ?\{\s*"error")/.test(text);
}

function isWholeObject(body: Buffer): boolean {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'));
    return isRecord(value) && (value.error === undefined || value.error === null);
  } catch {
    return false;
  }
}
