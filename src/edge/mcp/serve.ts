import { randomUUID } from 'node:crypto';
import { createMcpHandler } from '@modelcontextprotocol/server';
import { Fault } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import { drained, header, readBody } from '../exchange.ts';
import type { Exchange } from '../exchange.ts';
import { createGathered } from './gathered.ts';
import type { McpDeps, McpServing } from './handler.ts';
import { serverFor } from './server.ts';

/** Connections that wait for changes. */
const mostSubscriptions = 64;
const sessionHeader = 'mcp-session-id';

/**
 * MCP over streamable HTTP, a fresh server for each request: nothing is kept between two of them. Clients of the revisions
 * before 2026-07-28 call a request off by a message of its own; for them a session's id is a name under which running
 * requests are found, and no more than that.
 */
export function createServing(deps: McpDeps): McpServing {
  const gathered = createGathered(deps);
  const running = new Map<string, AbortController>();
  const subscriptions = new Set<AbortController>();
  const handler = createMcpHandler(({ authInfo }) => serverFor(authInfo?.extra?.exchange as Exchange, gathered, own), {
    maxSubscriptions: mostSubscriptions,
    onerror: (error) => deps.log.debug('an MCP request was refused', { error: error.message }),
  });
  const own = { ...deps, onToolsChanged: () => handler.notify.toolsChanged() };
  return {
    async serve(exchange) {
      const body = exchange.method === 'POST' ? parse(await readBody(exchange, deps.limits().body)) : undefined;
      const name = runningName(exchange, body);
      if (isRecord(body) && body.method === 'notifications/cancelled' && isRecord(body.params)) {
        running
          .get(nameOf(exchange, body.params.requestId))
          ?.abort(new Fault('CANCELLED', 'The client called it off.'));
      }
      const called = new AbortController();
      if (name !== null) running.set(name, called);
      if (isRecord(body) && body.method === 'subscriptions/listen') subscriptions.add(called);
      try {
        const own = { ...exchange, signal: AbortSignal.any([exchange.signal, called.signal]) };
        const authInfo = { token: '', clientId: exchange.principal?.id ?? '', scopes: [], extra: { exchange: own } };
        const answer = await handler.fetch(requestOf(own), { authInfo, parsedBody: body });
        const begins = isRecord(body) && body.method === 'initialize' && answer.ok;
        await pass(answer, own, begins ? { [sessionHeader]: randomUUID() } : {});
      } finally {
        if (name !== null && running.get(name) === called) running.delete(name);
        subscriptions.delete(called);
      }
    },
    endSubscriptions() {
      for (const one of subscriptions) one.abort();
    },
    close: () => handler.close(),
  };
}

const nameOf = (exchange: Exchange, id: unknown): string =>
  JSON.stringify([exchange.principal?.id, header(exchange.req, sessionHeader), id]);

/** Under what name a request can be called off; null for one that cannot. */
const runningName = (exchange: Exchange, body: unknown): string | null =>
  isRecord(body) && body.method === 'tools/call' && header(exchange.req, sessionHeader) !== undefined
    ? nameOf(exchange, body.id)
    : null;

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new Fault('BAD_REQUEST', 'The body is not valid JSON.', { cause: error });
  }
}

/** The same request as the SDK knows them; its body was read already. */
function requestOf({ req, method, signal }: Exchange): Request {
  const headers = new Headers();
  for (const [name, value] of Object.entries(req.headers)) {
    if (value !== undefined) headers.set(name, Array.isArray(value) ? value.join(', ') : value);
  }
  return new Request(`http://${req.headers.host ?? 'localhost'}${req.url ?? '/mcp'}`, { method, headers, signal });
}

/** A reader that is slow slows the writer; one that leaves ends it. */
async function pass(answer: Response, { res, signal, traceId }: Exchange, more: Record<string, string>): Promise<void> {
  res.writeHead(answer.status, { ...Object.fromEntries(answer.headers), 'x-sutaz-trace-id': traceId, ...more });
  res.flushHeaders();
  const reader = answer.body?.getReader();
  const leave = () => void reader?.cancel().catch(() => undefined);
  if (signal.aborted) leave();
  else signal.addEventListener('abort', leave, { once: true });
  try {
    for (;;) {
      const part = await reader?.read();
      if (!part || part.done) break;
      if (!res.write(part.value)) await drained(res);
    }
  } finally {
    signal.removeEventListener('abort', leave);
  }
  res.end();
}
