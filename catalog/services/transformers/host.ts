import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { sendJson } from '../llama/answer.ts';
import { createKeyCheck } from '../llama/auth.ts';
import { readJson } from '../llama/body.ts';
import { embeddingsAnswer, parseEmbeddings } from '../llama/embeddings.ts';
import { apiError, badParam, contextExceeded, isApiError, toApiError } from '../llama/errors.ts';
import type { Json } from '../llama/json.ts';
import type { Log } from '../llama/log.ts';
import { createSlotPool, type SlotPool } from '../llama/slots.ts';
import type { Encoded } from './libraries.ts';
import type { Model } from './model.ts';
import { nearness, parseRerank, rerankAnswer } from './rerank.ts';

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
  ready(model: Model): void;
  /** Takes no more requests; resolves when those in flight have ended. */
  drain(): Promise<void>;
}

type Handler = (model: Model, body: Json, signal: AbortSignal) => Promise<unknown>;

/** Embeddings and reranking of one model, as OpenAI and Jina have them. */
export function createHost({ key, modelId, log, slots }: HostOptions): Host {
  const keyFits = createKeyCheck(key);
  const pool = createSlotPool({ slots, maxWaiting: 256, held: () => [] });
  const flying = new Set<Promise<void>>();
  let model: Model | undefined;
  let draining = false;

  const handlers = handlersOf(modelId, pool);

  async function route(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    if (path === '/health') {
      const status = draining ? 'stopping' : model ? 'ok' : 'loading';
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
    if (draining || !model) {
      throw apiError(503, draining ? 'The model is shutting down.' : 'The model is loading.', { retryAfter: 1 });
    }
    const answer = await handler(model, await readJson(request), signal);
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
    ready: (loaded) => void (model = loaded),
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
  /** One after the other, in a slot of their own. */
  async function each<T>(
    texts: readonly Encoded[],
    signal: AbortSignal,
    evaluate: (text: Encoded) => Promise<T>,
  ): Promise<readonly T[]> {
    const slot = await pool.acquire([], signal);
    try {
      const answers: T[] = [];
      for (const text of texts) {
        signal.throwIfAborted();
        answers.push(await evaluate(text));
      }
      return answers;
    } finally {
      slot.release();
    }
  }
  return {
    async '/v1/embeddings'(model, body, signal) {
      const { inputs, encoding } = parseEmbeddings(body);
      if (model.kind !== 'embedder') {
        const message = 'This model ranks documents only: it makes no vectors.';
        throw apiError(400, message, { param: 'model', code: 'model_not_supported' });
      }
      const texts = inputs.map((input) =>
        typeof input === 'string' ? fitting(model, [input], 'input') : fits(model, { ids: input }, 'input'),
      );
      return embeddingsAnswer(modelId, await each(texts, signal, model.embed), sum(texts), encoding);
    },
    async '/v1/rerank'(model, body, signal) {
      const request = parseRerank(body);
      const place = (index: number) => `documents[${String(index)}]`;
      if (model.kind === 'ranker') {
        const pairs = request.documents.map((text, i) => fitting(model, [request.query, text], place(i)));
        return rerankAnswer(modelId, request, await each(pairs, signal, model.score), sum(pairs));
      }
      const query = fitting(model, [request.query], 'query');
      const documents = request.documents.map((text, i) => fitting(model, [text], place(i)));
      const all = [query, ...documents];
      const [first = [], ...rest] = await each(all, signal, model.embed);
      return rerankAnswer(modelId, request, nearness(first, rest), sum(all));
    },
  };
}

/** A text or a pair of them in tokens. `param` is what is too long of it, where it is. */
function fitting(model: Model, [text, pair]: readonly [string, string?], param: string): Encoded {
  // Without this, finding the tokens of megabytes would hold up everyone else. No token is longer than that.
  const length = text.length + (pair?.length ?? 0);
  if (length > model.maxTokens * 200) throw tooLong(model, length / 200, param);
  return fits(model, model.encode(text, pair), param);
}

function fits(model: Model, text: Encoded, param: string): Encoded {
  const { length } = text.ids;
  if (length > model.maxTokens) throw tooLong(model, length, param);
  if (length === 0) throw badParam(param, `Invalid '${param}': there is no token in it.`, 'invalid_value');
  return text;
}

const tooLong = ({ maxTokens }: Model, tokens: number, param: string) =>
  contextExceeded(maxTokens, Math.ceil(tokens), param);

const sum = (texts: readonly Encoded[]): number => texts.reduce((all, { ids }) => all + ids.length, 0);
