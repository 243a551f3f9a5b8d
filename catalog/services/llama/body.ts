import type { IncomingMessage } from 'node:http';
import { apiError } from './errors.ts';
import type { Json } from './json.ts';

export const maxBodyBytes = 32 * 1024 * 1024;

const tooLarge = (limit: number) =>
  apiError(413, `The request body is larger than ${String(limit)} bytes.`, { code: 'request_too_large' });

/** An oversized body is read to its end up to here, and dropped: a client still sending doesn't listen for an answer. */
const patience = 4;

/**
 * The body as JSON.
 * @throws 413, 400 for what is no JSON, or what the connection failed with.
 */
export async function readJson(request: IncomingMessage, limit = maxBodyBytes): Promise<Json> {
  if (Number(request.headers['content-length'] ?? 0) > limit * patience) throw tooLarge(limit);
  const chunks: Buffer[] = [];
  let bytes = 0;
  // Leaving this loop by a throw must not destroy the connection: the answer still has to go out.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    bytes += (chunk as Buffer).length;
    if (bytes <= limit) chunks.push(chunk as Buffer);
    else chunks.length = 0;
    if (bytes > limit * patience) break;
  }
  if (bytes > limit) throw tooLarge(limit);
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8')) as Json;
  } catch (error) {
    // The parser quotes the body: fit for the one who sent it, and not for a log.
    const why = error instanceof Error ? error.message : String(error);
    throw apiError(400, `The request body is not valid JSON: ${why}`, { code: 'invalid_json' });
  }
}
