import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { sendJson } from './answer.ts';
import { createKeyCheck } from './auth.ts';
import { readJson } from './body.ts';
import type { Engine } from './contract.ts';
import { apiError, isApiError, toApiError, type ApiError } from './errors.ts';
import { chat, completion, embeddings, tokenize, type Call } from './handlers.ts';
import type { Log } from './log.ts';
import { processMemory } from './memory.ts';
import { createMeter } from './meter.ts';
import { createSlotPool, type SlotPool } from './slots.ts';

export interface HostOptions {
  readonly key: string;
  readonly modelId: string;
  readonly log: Log;
  /** Milliseconds that never run backwards. */
  readonly now: () => number;
  /** Milliseconds since 1970. */
  readonly wallClock: () => number;
  readonly newId: () => string;
  readonly maxBodyBytes?: number;
}

export interface Host {
  readonly server: Server;
  progress(value: number): void;
  /** From here on requests are answered. */
  ready(engine: Engine): void;
  /**
   * Takes no more requests and resolves when those in flight have ended. Once `deadline` aborts, they are cut off with
   * an error that says so.
   */
  drain(deadline: AbortSignal): Promise<void>;
}

type State =
  | { readonly phase: 'loading'; readonly progress: number }
  | { readonly phase: 'ready'; readonly engine: Engine; readonly pool: SlotPool; readonly embedding: SlotPool };

const maxWaiting = 256;

const handlers: Readonly<Record<string, (call: Call) => Promise<void>>> = {
  '/v1/chat/completions': chat,
  '/v1/completions': completion,
  '/v1/embeddings': embeddings,
  '/tokenize': tokenize,
};

export function createHost(options: HostOptions): Host {
  const { log, now, modelId } = options;
  const keyFits = createKeyCheck(options.key);
  const meter = createMeter();
  const created = seconds(options.wallClock);
  const flying = new Map<AbortController, Promise<void>>();
  let state: State = { phase: 'loading', progress: 0 };
  let draining = false;

  const model = { id: modelId, object: 'model', created, owned_by: 'local' };
  const views: Views = {
    '/health': health,
    '/v1/models': () => ({ status: 200, body: { object: 'list', data: [model] } }),
    [`/v1/models/${encodeURIComponent(modelId)}`]: () => ({ status: 200, body: model }),
    '/stats': () => ({ status: 200, body: stats(state, modelId, meter.read()) }),
  };

  function health() {
    if (draining) return { status: 503, body: { status: 'stopping' } };
    if (state.phase === 'ready') return { status: 200, body: { status: 'ok' } };
    return { status: 503, body: { status: 'loading', progress: state.progress } };
  }

  async function route(request: IncomingMessage, response: ServerResponse, control: AbortController): Promise<void> {
    const path = (request.url ?? '/').split('?', 1)[0] ?? '/';
    if (path !== '/health' && !keyFits(request.headers.authorization)) throw wrongKey();
    const { view, handler } = resolve(views, request, response, path);
    if (view) {
      const { status, body } = view();
      return sendJson(response, status, body);
    }
    if (handler) await handler(await call(request, response, control));
  }

  async function call(request: IncomingMessage, response: ServerResponse, control: AbortController): Promise<Call> {
    const leftAt = watchForLeaving(response, control, now);
    if (draining) throw apiError(503, 'The model is shutting down.', { code: 'shutting_down', retryAfter: 1 });
    if (state.phase === 'loading') {
      const done = Math.floor(state.progress * 100);
      throw apiError(503, `The model is loading: ${String(done)} %.`, { code: 'model_loading', retryAfter: 1 });
    }
    const { engine, pool, embedding } = state;
    const body = await readJson(request, options.maxBodyBytes);
    const { signal } = control;
    const own = { id: options.newId(), created: seconds(options.wallClock), leftAt };
    return { engine, pool, embedding, body, modelId, response, signal, log, meter, now, ...own };
  }

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const control = new AbortController();
    const work = route(request, response, control).catch((error: unknown) => {
      refuse(log, request, response, error);
    });
    flying.set(control, work);
    await work;
    flying.delete(control);
  }

  const server = createServer((request, response) => {
    void serve(request, response);
  });
  // Longer than a proxy keeps a connection, so that it is the proxy who closes: else it may send into a closing one.
  server.keepAliveTimeout = 90_000;

  return {
    server,
    progress(value) {
      if (state.phase === 'loading') state = { phase: 'loading', progress: value };
    },
    ready(engine) {
      const held = (slot: number) => engine.held(slot);
      state = {
        phase: 'ready',
        engine,
        pool: createSlotPool({ slots: engine.slots, maxWaiting, held }),
        embedding: createSlotPool({ slots: 1, maxWaiting, held: () => [] }),
      };
    },
    drain(deadline) {
      draining = true;
      if (state.phase === 'ready') for (const pool of [state.pool, state.embedding]) pool.close();
      return drain(server, flying, deadline);
    },
  };
}

type Views = Readonly<Record<string, () => { readonly status: number; readonly body: unknown }>>;

/** @throws 404 for a path that isn't there, 405 for a method it doesn't take. */
function resolve(views: Views, request: IncomingMessage, response: ServerResponse, path: string) {
  const view = Object.hasOwn(views, path) ? views[path] : undefined;
  const handler = Object.hasOwn(handlers, path) ? handlers[path] : undefined;
  if (!view && !handler) throw unknownPath(request, path);
  const method = view ? 'GET' : 'POST';
  if (request.method !== method) {
    response.setHeader('allow', method);
    throw apiError(405, `${path} takes ${method}, not ${String(request.method)}.`, { code: 'method_not_allowed' });
  }
  return { view, handler };
}

/** Aborts when the connection closes before the answer is whole; tells when that was. */
function watchForLeaving(response: ServerResponse, control: AbortController, now: () => number) {
  let leftAt: number | undefined;
  response.on('close', () => {
    if (response.writableFinished) return;
    leftAt = now();
    control.abort(new Error('the client left'));
  });
  return () => leftAt;
}

function refuse(log: Log, request: IncomingMessage, response: ServerResponse, error: unknown): void {
  // Nobody is there to be told, or the stream has told it.
  if (response.destroyed || response.headersSent) return;
  if (!isApiError(error)) log('request-failed', { path: request.url ?? '', error: String(error) });
  sendError(response, toApiError(error), request.complete);
}

async function drain(
  server: Server,
  flying: ReadonlyMap<AbortController, Promise<void>>,
  deadline: AbortSignal,
): Promise<void> {
  const closed = new Promise<void>((done) => server.close(() => done()));
  const cut = () => {
    const reason = apiError(503, 'The model was shut down.', { code: 'shutting_down', retryAfter: 1 });
    for (const control of flying.keys()) control.abort(reason);
  };
  if (deadline.aborted) cut();
  deadline.addEventListener('abort', cut, { once: true });
  await Promise.all(flying.values());
  deadline.removeEventListener('abort', cut);
  server.closeIdleConnections();
  await closed;
}

const seconds = (wallClock: () => number): number => Math.floor(wallClock() / 1000);

const wrongKey = (): ApiError => apiError(401, 'Incorrect API key provided.', { code: 'invalid_api_key' });

const unknownPath = (request: IncomingMessage, path: string): ApiError =>
  apiError(404, `Unknown request URL: ${String(request.method)} ${path.slice(0, 256)}.`, { code: 'unknown_url' });

/** `complete`: the request was read to its end. A connection with more of it under way can't carry a second one. */
function sendError(response: ServerResponse, { api }: ApiError, complete: boolean): void {
  sendJson(response, api.status, api.body, {
    ...(api.retryAfter === undefined ? {} : { 'retry-after': String(api.retryAfter) }),
    ...(complete ? {} : { connection: 'close' }),
  });
}

function stats(state: State, model: string, reading: ReturnType<ReturnType<typeof createMeter>['read']>) {
  const common = { model, phase: state.phase, ...processMemory(), ...reading };
  if (state.phase === 'loading') return common;
  const { engine, pool, embedding } = state;
  return {
    ...common,
    context: engine.contextTokens,
    batch: engine.batchTokens,
    threads: engine.threads,
    slots: pool.stats(),
    embedding: embedding.stats(),
    memory: engine.memory(),
  };
}
