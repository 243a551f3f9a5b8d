import type { Exchange } from '../exchange.ts';
import { codingFor, pack } from './coding.ts';
import type { Coding } from './coding.ts';

/** The quickest first. */
const codings: readonly Coding[] = ['zstd', 'br', 'gzip'];
/** Bytes below which the way costs less than the packing. */
const smallest = 8_192;

/**
 * Sends text that was made for this one request, packed where that pays: it is large, and goes over a network. On this machine
 * itself both ends would only work for it; a trusted proxy here stands for a client that is elsewhere.
 */
export async function sendLarge(exchange: Exchange, status: number, text: string, type: string): Promise<void> {
  const { req, res, peer, traceId } = exchange;
  const body = Buffer.from(text);
  const packs = body.byteLength >= smallest && (!peer.local || peer.trusted);
  const coding = packs ? codingFor(req.headers['accept-encoding'], codings) : null;
  const sent = coding ? await pack(body, coding, 'each') : body;
  res.writeHead(status, {
    ...{ 'content-type': type, 'x-sutaz-trace-id': traceId },
    ...(packs ? { vary: 'accept-encoding' } : {}),
    ...(coding ? { 'content-encoding': coding } : {}),
    'content-length': sent.byteLength,
  });
  res.end(sent);
}
