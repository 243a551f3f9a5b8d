import { parseArguments, readPiece } from '../chat-chunks.ts';
import type { CallPiece, ChatUsage } from '../chat-chunks.ts';

/** An event of a stream. */
export interface MessageEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

export const encode = (event: MessageEvent): string => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

/** Means nothing to any client of Anthropic's. */
export const ping = encode({ type: 'ping' });

const reasons: Readonly<Record<string, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool_calls: 'tool_use',
  content_filter: 'refusal',
};

/** Anthropic counts what was read from a cache apart. */
const usageOf = ({ input, output, cached }: ChatUsage) => ({
  input_tokens: input - cached,
  cache_creation_input_tokens: 0,
  cache_read_input_tokens: cached,
  output_tokens: output,
});

const nothing: ChatUsage = { input: 0, output: 0, cached: 0 };

interface Named {
  readonly id: string;
  /** As the request named it. */
  readonly model: string;
}

/** A chat completion as a message. */
export function messageOf(answer: Readonly<Record<string, unknown>>, { id, model }: Named): Record<string, unknown> {
  const { text, calls, reason, stoppedBy, usage } = readPiece(answer);
  const used = calls.map((call) => ({
    ...{ type: 'tool_use', id: callId(id, call), name: call.name ?? '', input: parseArguments(call.json) },
  }));
  return {
    ...{ id, type: 'message', role: 'assistant', model },
    content: [...(text === '' && used.length > 0 ? [] : [{ type: 'text', text, citations: null }]), ...used],
    ...stopOf(reason, stoppedBy),
    usage: usageOf(usage ?? nothing),
  };
}

const stopOf = (reason: string | null, by: string | null) =>
  by !== null && reason === 'stop'
    ? { stop_reason: 'stop_sequence', stop_sequence: by }
    : { stop_reason: reasons[reason ?? 'stop'] ?? 'end_turn', stop_sequence: null };

const callId = (id: string, { id: own, index }: CallPiece): string => own ?? `toolu_${id}_${index}`;

export interface MessageStream {
  /** The events that a chunk becomes. */
  push(chunk: Readonly<Record<string, unknown>>): MessageEvent[];
  end(): MessageEvent[];
}

/**
 * Makes Anthropic's events of the chunks of an OpenAI stream: a message begins; its blocks, text or calls, each begin, grow
 * and end, one after the other; then come its reason and its usage.
 */
export function createMessageStream({ id, model }: Named): MessageStream {
  let started = false;
  /** The block that is open: its place, and which call it is, null for text. */
  let open: { readonly index: number; readonly call: number | null } | null = null;
  let blocks = 0;
  let stop = stopOf(null, null);
  let usage = nothing;
  const start = (): MessageEvent[] => {
    if (started) return [];
    started = true;
    const empty = {
      id,
      type: 'message',
      role: 'assistant',
      model,
      content: [],
      stop_reason: null,
      stop_sequence: null,
    };
    return [{ type: 'message_start', message: { ...empty, usage: { ...usageOf(nothing), output_tokens: 0 } } }];
  };
  const close = (): MessageEvent[] => {
    if (!open) return [];
    const { index } = open;
    open = null;
    return [{ type: 'content_block_stop', index }];
  };
  const into = (call: number | null, block: () => Record<string, unknown>): MessageEvent[] => {
    if (open?.call === call) return [];
    const before = close();
    open = { index: blocks++, call };
    return [...before, { type: 'content_block_start', index: open.index, content_block: block() }];
  };
  const grow = (delta: Record<string, unknown>): MessageEvent => ({
    ...{ type: 'content_block_delta', index: open?.index ?? 0, delta },
  });
  return {
    push(chunk) {
      const piece = readPiece(chunk);
      if (piece.usage) usage = piece.usage;
      if (piece.reason !== null) stop = stopOf(piece.reason, piece.stoppedBy);
      const events = start();
      if (piece.text !== '') {
        events.push(...into(null, () => ({ type: 'text', text: '', citations: null })));
        events.push(grow({ type: 'text_delta', text: piece.text }));
      }
      for (const call of piece.calls) {
        events.push(
          ...into(call.index, () => ({ type: 'tool_use', id: callId(id, call), name: call.name ?? '', input: {} })),
        );
        if (call.json !== '') events.push(grow({ type: 'input_json_delta', partial_json: call.json }));
      }
      return events;
    },
    end: () => [
      ...start(),
      ...close(),
      { type: 'message_delta', delta: stop, usage: usageOf(usage) },
      { type: 'message_stop' },
    ],
  };
}
