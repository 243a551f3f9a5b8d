import { Fault } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import { header, parseObject, readBody } from '../exchange.ts';
import type { Exchange } from '../exchange.ts';
import type { CompiledRoute } from './table.ts';

/** The model that a request names in its body; null where it has none, or none that can be read. */
export async function modelIn(exchange: Exchange, limit: number): Promise<string | null> {
  if (!hasBody(exchange)) return null;
  exchange.gathered = await readBody(exchange, limit);
  try {
    const parsed: unknown = JSON.parse(exchange.gathered.toString('utf8'));
    return isRecord(parsed) && typeof parsed.model === 'string' ? parsed.model : null;
  } catch {
    // What answers says what is wrong with it.
    return null;
  }
}

/**
 * Reads the body and changes its fields. What is no JSON is refused: a service may read it as such in spite of what it is
 * called, and would see what it must not.
 */
export async function changeBody(exchange: Exchange, route: CompiledRoute, limit: number): Promise<void> {
  if (route.requestJson.length === 0 || !hasBody(exchange)) return;
  if (header(exchange.req, 'content-encoding') !== undefined) {
    throw new Fault('BAD_REQUEST', `The route ${route.name} reads the body: it must not be compressed.`);
  }
  const parsed = parseObject(await readBody(exchange, limit));
  for (const change of route.requestJson) change(parsed);
  exchange.gathered = Buffer.from(JSON.stringify(parsed));
  // Handlers look at it before they ask for the body.
  const { headers } = exchange.req;
  headers['content-length'] = String(exchange.gathered.byteLength);
  delete headers['transfer-encoding'];
}

const hasBody = ({ req }: Exchange): boolean =>
  req.headers['transfer-encoding'] !== undefined || Number(req.headers['content-length'] ?? 0) > 0;
