import { chatEvents } from './chat.ts';
import { decodeLedger, decodeLogEntry, decodeState, decodeUnit, fields, list, parseJson } from './decode.ts';
import { decodeMap } from './decode-map.ts';
import { ApiProblem, problemFrom } from './problem.ts';
import { readSse } from './sse.ts';
import type { SseItem } from './sse.ts';
import type { ChatEvent, ChatMessage, PlatformEvent, PlatformState, UnitAction, WiringMap } from './types.ts';

export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
}

/** The platform's HTTP API. Every method rejects with an `ApiProblem` when refused, and stops when its signal aborts. */
export interface Client {
  state(signal?: AbortSignal): Promise<PlatformState>;
  /** Resolves when the platform has accepted; how it goes on comes as events. */
  act(unit: string, action: UnitAction, signal?: AbortSignal): Promise<void>;
  /** The whole state first, then every change. Ends when the connection does; it does not reconnect by itself. */
  events(signal: AbortSignal): AsyncIterable<PlatformEvent>;
  /** Who consumes what of whom. */
  map(signal?: AbortSignal): Promise<WiringMap>;
  /** The ids that `chat` takes as a model. */
  models(signal?: AbortSignal): Promise<readonly string[]>;
  /** The answer as it is made. Throws when the stream breaks off before its end. */
  chat(request: ChatRequest, signal: AbortSignal): AsyncIterable<ChatEvent>;
}

export interface ClientOptions {
  /** Where the platform is; the page's own origin when absent. */
  readonly baseUrl?: string;
  readonly fetch?: typeof fetch;
  /** Called on every 401: the session is over, whatever was asked for. */
  readonly onSignedOut?: () => void;
}

interface Call {
  readonly method?: 'GET' | 'POST';
  readonly body?: unknown;
  readonly accept?: string;
  readonly signal?: AbortSignal | undefined;
}

export function createClient(options: ClientOptions = {}): Client {
  const send = sender(options);

  return {
    async state(signal) {
      return decodeState(await json(await send('/sutaz/v1/state', { signal })));
    },
    async act(unit, action, signal) {
      const response = await send(`/sutaz/v1/units/${encodeURIComponent(unit)}/${action}`, { method: 'POST', signal });
      // The body is a unit that may be older by now than what the event stream has brought: it is not used.
      await response.body?.cancel();
    },
    async *events(signal) {
      const response = await send('/sutaz/v1/events', { signal, accept: 'text/event-stream' });
      for await (const item of readSse(stream(response))) yield platformEvent(item);
    },
    async map(signal) {
      return decodeMap(await json(await send('/sutaz/v1/map', { signal })));
    },
    async models(signal) {
      const { data } = fields(await json(await send('/v1/models', { signal })));
      return list(data)
        .map((model) => fields(model)['id'])
        .filter((id) => typeof id === 'string');
    },
    async *chat(request, signal) {
      const body = { ...request, stream: true, stream_options: { include_usage: true } };
      const call = { method: 'POST', body, signal, accept: 'text/event-stream' } as const;
      let complete = false;
      for await (const item of readSse(stream(await send('/v1/chat/completions', call)))) {
        complete ||= item.kind === 'event' && item.data === '[DONE]';
        yield* chatEvents(item);
      }
      if (!complete) throw new ApiProblem('The answer broke off before its end.', { status: 0, code: 'CUT_OFF' });
    },
  };
}

function sender({ baseUrl = '', fetch: request = (...args) => globalThis.fetch(...args), onSignedOut }: ClientOptions) {
  return async (path: string, call: Call): Promise<Response> => {
    const response = await request(baseUrl + path, {
      method: call.method ?? 'GET',
      credentials: 'same-origin',
      cache: 'no-store',
      headers: {
        // A page of another origin cannot send this without the platform's consent: it marks the request as ours.
        'X-Sutaz-Console': '1',
        Accept: call.accept ?? 'application/json',
        ...(call.body !== undefined && { 'Content-Type': 'application/json' }),
      },
      body: call.body === undefined ? null : JSON.stringify(call.body),
      signal: call.signal ?? null,
    });
    if (response.ok) return response;
    const problem = problemFrom(response.status, await response.text(), response.headers.get('x-trace-id'));
    if (response.status === 401) onSignedOut?.();
    throw problem;
  };
}

async function json(response: Response): Promise<unknown> {
  const value = parseJson(await response.text());
  if (value === undefined) throw unreadable(response.status, 'JSON');
  return value;
}

/** Anything else in place of a stream would be read as an empty one, and the caller would wait for nothing. */
function stream(response: Response): ReadableStream<Uint8Array> {
  const isStream = response.headers.get('content-type')?.startsWith('text/event-stream');
  if (!isStream || !response.body) throw unreadable(response.status, 'an event stream');
  return response.body;
}

const unreadable = (status: number, wanted: string) =>
  new ApiProblem(`The platform answered with something that is not ${wanted}. Is this its address?`, {
    status,
    code: 'BAD_ANSWER',
  });

function platformEvent(item: SseItem): PlatformEvent {
  if (item.kind === 'comment') return { type: 'alive' };
  const value = parseJson(item.data);
  // Taken for a state, broken data would show an empty machine: an end of the connection is the honest answer.
  if (value === undefined) throw unreadable(200, 'JSON');
  if (item.event === 'state') return { type: 'state', state: decodeState(value) };
  if (item.event === 'ledger') return { type: 'ledger', ledger: decodeLedger(value) };
  if (item.event === 'unit') {
    const unit = decodeUnit(value);
    if (unit) return { type: 'unit', unit };
  }
  if (item.event === 'log') {
    const entry = decodeLogEntry(value);
    if (entry) return { type: 'log', entry };
  }
  return { type: 'alive' };
}
