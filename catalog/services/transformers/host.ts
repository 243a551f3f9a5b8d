import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { sendJson } from '../llama/answer.ts';
import { createKeyCheck } from '../llama/auth.ts';
import { readJson } from '../llama/body.ts';
import { embeddingsAnswer, parseEmbeddings } from '../llama/embeddings.ts';
import { apiError, badParam, contextExceeded, isApiError, toApiError } from '../llama/errors.ts';
import type { Json } from '../llama/json.ts';
import type { Log } from '../llama/log.ts';
import { createSlotPool, type SlotPool } from '../llama/slots.ts';
import type { Embedder } from './embedder.ts';
import { parseRerank, rerankAnswer } from './rerank.ts';

export interface HostOptions {
  readonly key: string;
  readonly modelId: string;
  readonly log: Log;
  /** Requests evaluated at once. */
  readonly slots: number;
}

export interface Host {
  readonly server: Server;
  /** From here on requests are answered. */
  ready(embedder: Embedder): void;
  /** Takes no more requests; resolves when those in flight have ended. */
  drain(): Promise<void>;
}

type Handler = (embedder: Embedder, body: Json, signal: AbortSignal) => Promise<unknown>;

/** Embeddings and reranking of one model, as OpenAI and Jina have them. */
export function createHost({ key, modelId, log, slots }: HostOptions): Host {
  const keyFits = createKeyCheck(key);
  const pool = createSlotPool({ slots, maxWaiting: 256, held: () => [] });
  const flying = new Set<Promise<void>>();
  let embedder: Embedder | undefined;
  let draining = false;

  const handlers = handlersOf(modelId, pool);

  async function route(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    if (path === '/health') {
      const status = draining ? 'stopping' : embedder ? 'ok' : 'loading';
      return sendJson(response, status === 'ok' ? 200 : 503, { status });
    }
    if (!keyFits(request.headers.authorization)) {
      throw apiError(401, 'Incorrect API key provided.', { code: 'invalid_api_key' });
    }
    if (path === '/v1/models' && request.method === 'GET') {
      return sendJson(response, 200, { object: 'list', data: [{ id: modelId, object: 'model', owned_by: 'local' }] });
    }
    const handler = Object.hasOwn(handlers, path) ? handlers[path] : undefined;
    if (!handler || request.method !== 'POST') {
      const known = Object.keys(handlers).join(', ');
      const message = `There is no ${String(request.method)} ${path.slice(0, 256)}. Served here by POST: ${known}.`;
      throw apiError(404, message, { code: 'unknown_url' });
    }
    if (draining || !embedder) {
      throw apiError(503, draining ? 'The model is shutting down.' : 'The model is loading.', { retryAfter: 1 });
    }
    const answer = await handler(embedder, await readJson(request), signal);
    sendJson(response, 200, answer);
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const control = new AbortController();
    response.on('close', () => response.writableFinished || control.abort(new Error('the client left')));
    try {
      await route(request, response, control.signal);
    } catch (error) {
      if (response.destroyed) return;
      if (!isApiError(error)) log('request-failed', { path: request.url ?? '', error: String(error) });
      const { api } = toApiError(error);
      const retry = api.retryAfter === undefined ? {} : { 'retry-after': String(api.retryAfter) };
      sendJson(response, api.status, api.body, { ...retry, ...(request.complete ? {} : { connection: 'close' }) });
    }
  }

  const server = createServer((request, response) => {
    const work = serve(request, response);
    flying.add(work);
    void work.finally(() => flying.delete(work));
  });
  // Longer than a proxy keeps a connection, so that it is the proxy who closes.
  server.keepAliveTimeout = 90_000;

  return {
    server,
    ready: (loaded) => void (embedder = loaded),
    async drain() {
      draining = true;
      pool.close();
      const closed = new Promise<void>((done) => server.close(() => done()));
      await Promise.all(flying);
      server.closeIdleConnections();
      await closed;
    },
  };
}

function handlersOf(modelId: string, pool: SlotPool): Readonly<Record<string, Handler>> {
  async function vectorsOf(embedder: Embedder, texts: readonly (readonly number[])[], signal: AbortSignal) {
    const slot = await pool.acquire([], signal);
    try {
      const vectors: (readonly number[])[] = [];
      for (const tokens of texts) {
        signal.throwIfAborted();
        vectors.push(await embedder.embed(tokens));
      }
      return vectors;
    } finally {
      slot.release();
    }
  }
  return {
    async '/v1/embeddings'(embedder, body, signal) {
      const { inputs, encoding } = parseEmbeddings(body);
      const tokens = inputs.map((input) =>
        typeof input === 'string' ? fitting(embedder, input, 'input') : fits(embedder, input, 'input'),
      );
      return embeddingsAnswer(modelId, await vectorsOf(embedder, tokens, signal), sum(tokens), encoding);
    },
    async '/v1/rerank'(embedder, body, signal) {
      const request = parseRerank(body);
      const query = fitting(embedder, request.query, 'query');
      const documents = request.documents.map((text, i) => fitting(embedder, text, `documents[${String(i)}]`));
      const [first = [], ...rest] = await vectorsOf(embedder, [query, ...documents], signal);
      return rerankAnswer(modelId, request, first, rest, sum([query, ...documents]));
    },
  };
}

function fitting(embedder: Embedder, text: string, param: string): readonly number[] {
  // Without this, finding the tokens of megabytes would hold up everyone else. No token is longer than that.
  if (text.length > embedder.maxTokens * 200) throw tooLong(embedder, text.length / 200, param);
  return fits(embedder, embedder.tokenize(text), param);
}

function fits(embedder: Embedder, tokens: readonly number[], param: string): readonly number[] {
  if (tokens.length > embedder.maxTokens) throw tooLong(embedder, tokens.length, param);
  if (tokens.length === 0) throw badParam(param, `Invalid '${param}': there is no token in it.`, 'invalid_value');
  return tokens;
}

const tooLong = ({ maxTokens }: Embedder, tokens: number, param: string) =>
  contextExceeded(maxTokens, Math.ceil(tokens), param);

const sum = (texts: readonly (readonly number[])[]): number => texts.reduce((all, { length }) => all + length, 0);
