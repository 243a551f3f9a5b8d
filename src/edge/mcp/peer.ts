import type { CallToolResult, Tool } from '@modelcontextprotocol/server';
import type { Clock } from '#kernel/clock';
import { Fault, toFault } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import { createSseParser } from '#kernel/sse';
import type { Target } from '#routing/wake';
import { headerOf } from '../transport/fields.ts';
import type { Upstreams } from '../transport/upstreams.ts';

/** A connection to an MCP server, for as long as one call lasts. */
export interface Peer {
  listTools(): Promise<readonly Tool[]>;
  callTool(name: string, given: Readonly<Record<string, unknown>>, onProgress: OnProgress): Promise<CallToolResult>;
  /** Whether the server has said that it has other tools now. */
  changed(): boolean;
  /** Says good-bye; never fails, and ends within bounds. */
  close(): Promise<void>;
}

export type OnProgress = (progress: {
  readonly progress: number;
  readonly total?: number;
  readonly message?: string;
}) => void;

export interface PeerOptions {
  readonly target: Target;
  readonly upstreams: Upstreams;
  readonly clock: Clock;
  /** Aborts what is asked; the server is told. */
  readonly signal: AbortSignal;
  readonly version: string;
}

type Json = Readonly<Record<string, unknown>>;

/** The last revision with a handshake; servers of the later ones answer it, too. */
const revision = '2025-11-25';
/** Milliseconds in which a server answers what costs it nothing, and in which a tool must answer or tell of progress. */
const promptMs = 10_000;
const silentMs = 10 * 60_000;
/** Milliseconds for words whose loss does no harm. */
const byeMs = 1_000;
const mostBytes = 32 * 2 ** 20;
const mostPages = 10;

/**
 * What is needed of the protocol's streamable HTTP transport and no more. The SDK's own client cannot be loaded where the
 * platform runs from its sources: two packages that it stands on take the condition `source` for themselves.
 */
export async function openPeer(options: PeerOptions): Promise<Peer> {
  const { target, signal } = options;
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(target.key === null ? {} : { authorization: `Bearer ${target.key}` }),
  };
  let last = 0;
  let changed = false;
  const post = (message: Json, patience: Patience) => exchangeWith(options, headers, message, patience);
  const ask = async (method: string, params: Json, ms: number, onProgress?: OnProgress): Promise<Json> => {
    const id = ++last;
    const onMessage = (message: Json) => {
      if (message.method === 'notifications/tools/list_changed') changed = true;
      if (message.method === 'notifications/progress') onProgress?.(message.params as Parameters<OnProgress>[0]);
    };
    try {
      return await post({ jsonrpc: '2.0', id, method, params }, { ms, signal, answerTo: id, onMessage });
    } catch (error) {
      // It would go on otherwise: that the line has gone is no word of the protocol's.
      if (signal.aborted || toFault(error).code === 'TIMEOUT') await tell('notifications/cancelled', { requestId: id });
      throw error;
    }
  };
  const tell = (method: string, params: Json): Promise<unknown> =>
    post({ jsonrpc: '2.0', method, params }, { ms: byeMs, signal: null, answerTo: null }).catch(() => undefined);

  const clientInfo = { name: 'sutazai', version: options.version };
  const greeting = await ask('initialize', { protocolVersion: revision, capabilities: {}, clientInfo }, promptMs);
  headers['mcp-protocol-version'] = typeof greeting.protocolVersion === 'string' ? greeting.protocolVersion : revision;
  await tell('notifications/initialized', {});
  return {
    async listTools() {
      const tools: Tool[] = [];
      let cursor: unknown;
      for (let page = 0; page < mostPages; page++) {
        const part = await ask('tools/list', cursor === undefined ? {} : { cursor }, promptMs);
        if (Array.isArray(part.tools)) tools.push(...(part.tools as Tool[]));
        cursor = part.nextCursor;
        if (cursor === undefined) break;
      }
      changed = false;
      return tools;
    },
    callTool: async (name, given, onProgress) =>
      (await ask(
        'tools/call',
        { name, arguments: given, _meta: { progressToken: last + 1 } },
        silentMs,
        onProgress,
      )) as CallToolResult,
    changed: () => changed,
    close: async () => {
      if (headers['mcp-session-id'] === undefined) return;
      await send(options, 'DELETE', headers, null, { ms: byeMs, signal: null, answerTo: null }).catch(() => undefined);
    },
  };
}

interface Patience {
  /** Milliseconds without a word after which it is given up. */
  readonly ms: number;
  readonly signal: AbortSignal | null;
  /** The id of the message that is an answer; null where none is awaited. */
  readonly answerTo: number | null;
  readonly onMessage?: (message: Json) => void;
}

/** Posts a message and resolves with the result of its answer. */
async function exchangeWith(
  options: PeerOptions,
  headers: Record<string, string>,
  message: Json,
  patience: Patience,
): Promise<Json> {
  const answer = await send(options, 'POST', headers, Buffer.from(JSON.stringify(message)), patience);
  if (patience.answerTo === null) return {};
  if (isRecord(answer?.error)) {
    throw new Fault('UPSTREAM_FAILED', String(answer.error.message ?? 'It gave no reason.'), { source: 'upstream' });
  }
  if (isRecord(answer?.result)) return answer.result;
  throw new Fault('UPSTREAM_FAILED', 'Its MCP server broke off without an answer.', { source: 'upstream' });
}

/** One request. Ends with the awaited message, whether or not the server ends its stream then. */
async function send(
  { target, upstreams, clock }: PeerOptions,
  method: string,
  headers: Record<string, string>,
  body: Buffer | null,
  { ms, signal, answerTo, onMessage }: Patience,
): Promise<Json | null> {
  const own = new AbortController();
  const late = () => own.abort(new Fault('TIMEOUT', 'Its MCP server did not answer in time.'));
  let cancel = clock.after(ms, late);
  let answer: Json | null = null;
  let reader = createReader(false);
  let refused: number | null = null;
  const request = {
    ...{ origin: target.origin, method, path: `${target.basePath}/mcp`, headers: Object.entries(headers).flat(), body },
    signal: signal === null ? own.signal : AbortSignal.any([signal, own.signal]),
    tls: target.tls,
  };
  const take = (messages: readonly Json[]) => {
    for (const message of messages) {
      if (answerTo !== null && message.id === answerTo && message.method === undefined) answer = message;
      else onMessage?.(message);
    }
    if (answer) own.abort();
  };
  try {
    await upstreams.send(request, {
      head({ status, headers: answered }) {
        if (status >= 400) refused = status;
        const session = headerOf(answered, 'mcp-session-id');
        if (session !== undefined) headers['mcp-session-id'] = session;
        reader = createReader(headerOf(answered, 'content-type')?.startsWith('text/event-stream') === true);
      },
      data(chunk) {
        cancel();
        cancel = clock.after(ms, late);
        take(reader.push(chunk));
        return true;
      },
    });
    take(reader.end());
  } catch (error) {
    if (answer === null) throw own.signal.aborted ? own.signal.reason : error;
  } finally {
    cancel();
  }
  if (refused !== null && answer === null) {
    throw new Fault('UPSTREAM_FAILED', `Its MCP server answered with ${refused}.`, { source: 'upstream' });
  }
  return answer;
}

interface Reader {
  push(chunk: Buffer): readonly Json[];
  end(): readonly Json[];
}

/** The messages of an answer: events of a stream, or one piece of JSON. */
function createReader(isStream: boolean): Reader {
  const parser = createSseParser();
  const chunks: Buffer[] = [];
  let bytes = 0;
  return {
    push(chunk) {
      bytes += chunk.byteLength;
      if (bytes > mostBytes) throw new Fault('UPSTREAM_FAILED', 'The answer of its MCP server is too large.');
      if (isStream) return parser.push(chunk).flatMap((item) => (item.kind === 'event' ? messages(item.data) : []));
      chunks.push(chunk);
      return [];
    },
    end: () => (isStream ? [] : messages(Buffer.concat(chunks).toString('utf8'))),
  };
}

function messages(text: string): readonly Json[] {
  try {
    const value: unknown = JSON.parse(text);
    return [value].flat().filter(isRecord);
  } catch {
    return [];
  }
}
