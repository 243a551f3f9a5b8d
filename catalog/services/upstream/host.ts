import { createServer, request, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { request as secureRequest } from 'node:https';
import { sendJson } from '../llama/answer.ts';
import { createKeyCheck } from '../llama/auth.ts';
import { readJson } from '../llama/body.ts';
import { apiError, isApiError, toApiError } from '../llama/errors.ts';
import { isObject } from '../llama/json.ts';
import type { Log } from '../llama/log.ts';
import { bearer, type Remote, type RemoteOptions } from './remote.ts';

export interface HostOptions {
  readonly key: string;
  readonly modelId: string;
  readonly remote: Remote;
  readonly to: RemoteOptions;
  readonly log: Log;
}

export interface Host {
  readonly server: Server;
  progress(done: number): void;
  ready(): void;
  /** Takes no more requests; resolves when those in flight have ended, and the server has been told of it. */
  drain(): Promise<void>;
}

/** Passes requests for one model on to the server that has it, under the name it has there, and answers as they come. */
export function createHost({ key, modelId, remote, to, log }: HostOptions): Host {
  const keyFits = createKeyCheck(key);
  const flying = new Set<Promise<void>>();
  const resting = new Set<Promise<void>>();
  let phase: 'loading' | 'ready' | 'stopping' = 'loading';
  let progress = 0;

  async function route(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = req.url ?? '/';
    if (path === '/health') {
      const body = phase === 'ready' ? { status: 'ok' } : { status: phase, progress };
      return sendJson(res, phase === 'ready' ? 200 : 503, body);
    }
    if (path === '/weight') return sendJson(res, 200, { bytes: phase === 'ready' ? await remote.weight() : 0 });
    if (!keyFits(req.headers.authorization)) {
      throw apiError(401, 'Incorrect API key provided.', { code: 'invalid_api_key' });
    }
    if (phase !== 'ready') throw apiError(503, `The model is ${phase}.`, { retryAfter: 1 });
    if (path === '/v1/models') {
      return sendJson(res, 200, { object: 'list', data: [{ id: modelId, object: 'model', owned_by: to.url }] });
    }
    if (!path.startsWith('/v1/') || req.method !== 'POST') {
      throw apiError(404, `There is no ${String(req.method)} ${path.slice(0, 256)}.`, { code: 'unknown_url' });
    }
    const body = await readJson(req);
    if (!isObject(body)) throw apiError(400, 'The request body must be a JSON object.', { param: 'body' });
    await pass(to, path, JSON.stringify({ ...body, model: to.model }), res);
  }

  function rest(): void {
    const told: Promise<void> = remote
      .rested()
      .catch((error: unknown) => log('rested', { error: String(error) }))
      .finally(() => resting.delete(told));
    resting.add(told);
  }

  async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    try {
      await route(req, res);
    } catch (error) {
      if (res.destroyed) return;
      if (res.headersSent) return void res.destroy();
      if (!isApiError(error)) log('request-failed', { path: req.url ?? '', error: String(error) });
      const { api } = toApiError(error);
      sendJson(res, api.status, api.body, req.complete ? {} : { connection: 'close' });
    }
  }

  const server = createServer((req, res) => {
    const work = serve(req, res);
    flying.add(work);
    void work.finally(() => {
      flying.delete(work);
      const asked = req.method === 'POST' && phase === 'ready';
      if (asked && flying.size === 0) rest();
    });
  });
  // Longer than a proxy keeps a connection, so that it is the proxy who closes.
  server.keepAliveTimeout = 90_000;

  return {
    server,
    progress: (done) => void (progress = done),
    ready() {
      if (phase === 'loading') phase = 'ready';
    },
    async drain() {
      phase = 'stopping';
      const closed = new Promise<void>((done) => server.close(() => done()));
      await Promise.all(flying);
      // What is still said of keeping the model would come after it was let go.
      await Promise.all(resting);
      server.closeIdleConnections();
      await closed;
    },
  };
}

/** A client that leaves ends the request there at once: its server frees the place. */
function pass(to: RemoteOptions, path: string, body: string, res: ServerResponse): Promise<void> {
  const headers = {
    ...{ 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
    ...bearer(to.key),
  };
  const send = to.url.startsWith('https:') ? secureRequest : request;
  return new Promise((resolve, reject) => {
    const upstream = send(`${to.url}${path}`, { method: 'POST', headers }, (answer) => {
      const type = answer.headers['content-type'];
      res.writeHead(answer.statusCode ?? 502, type === undefined ? {} : { 'content-type': type });
      answer.on('error', reject);
      answer.pipe(res);
    });
    res.on('close', () => {
      upstream.destroy();
      resolve();
    });
    upstream.on('error', (error) => {
      if (res.destroyed || res.writableFinished) return resolve();
      reject(
        apiError(502, `The server that has the model cannot be reached: ${error.message}`, { code: 'upstream_failed' }),
      );
    });
    upstream.end(body);
  });
}
