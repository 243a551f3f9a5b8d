import { readPiece } from '../chat-chunks.ts';
import type { CallPiece, ChatUsage } from '../chat-chunks.ts';

export interface ResponseEvent {
  readonly type: string;
  readonly [field: string]: unknown;
}

export interface Named {
  /** Random: what the ids of the answer and of its parts are made of. */
  readonly id: string;
  /** As the request named it. */
  readonly model: string;
  /** Seconds since 1970. */
  readonly created: number;
  readonly echo: Readonly<Record<string, unknown>>;
}

export const encode = (event: ResponseEvent): string => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;

const usageOf = ({ input, output, cached }: ChatUsage) => ({
  input_tokens: input,
  input_tokens_details: { cached_tokens: cached },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: input + output,
});

type Status = 'in_progress' | 'completed' | 'incomplete';

function responseOf(
  { id, model, created, echo }: Named,
  status: Status,
  output: readonly unknown[],
  usage: ChatUsage | null,
): Record<string, unknown> {
  return {
    ...{ id: `resp_${id}`, object: 'response', created_at: created, status, background: false, error: null },
    incomplete_details: status === 'incomplete' ? { reason: 'max_output_tokens' } : null,
    ...{ model, output, ...echo, usage: usage && usageOf(usage) },
  };
}

const textPart = (text: string) => ({ type: 'output_text', text, annotations: [], logprobs: [] });

const messageItem = (id: string, text: string, status: Status) => ({
  ...{ id, type: 'message', status, role: 'assistant' },
  content: status === 'in_progress' ? [] : [textPart(text)],
});

const callItem = (id: string, callId: string, name: string, json: string, status: Status) => ({
  ...{ id, type: 'function_call', call_id: callId, name, arguments: json, status },
});

const statusOf = (reason: string | null): Status => (reason === 'length' ? 'incomplete' : 'completed');

/** A chat completion as a response. */
export function responseFrom(answer: Readonly<Record<string, unknown>>, named: Named): Record<string, unknown> {
  const { text, calls, reason, usage } = readPiece(answer);
  const status = statusOf(reason);
  const message = text === '' && calls.length > 0 ? [] : [messageItem(`msg_${named.id}`, text, status)];
  const made = calls.map((call) =>
    callItem(`fc_${named.id}_${call.index}`, callIdOf(named, call), call.name ?? '', call.json, status),
  );
  return responseOf(named, status, [...message, ...made], usage);
}

const callIdOf = ({ id }: Named, { id: own, index }: CallPiece): string => own ?? `call_${id}_${index}`;

export interface ResponseStream {
  push(chunk: Readonly<Record<string, unknown>>): ResponseEvent[];
  end(): ResponseEvent[];
}

/** A part of the output that grows. */
type Open =
  | { readonly kind: 'message'; readonly id: string; text: string }
  | {
      readonly kind: 'call';
      readonly id: string;
      readonly index: number;
      readonly callId: string;
      readonly name: string;
      json: string;
    };

/**
 * Makes the events of a response of the chunks of an OpenAI chat stream: the response is created; its items each are
 * added, grow and are done, one after the other; then it is completed.
 */
export function createResponseStream(named: Named): ResponseStream {
  const output: unknown[] = [];
  let sequence = 0;
  let open: Open | null = null;
  let begun = false;
  let reason: string | null = null;
  let usage: ChatUsage | null = null;
  const event = (type: string, fields: Record<string, unknown>): ResponseEvent => ({
    ...{ type: `response.${type}`, sequence_number: sequence++, ...fields },
  });
  const at = () => ({ output_index: output.length });
  const begin = (): ResponseEvent[] => {
    if (begun) return [];
    begun = true;
    const response = responseOf(named, 'in_progress', [], null);
    return [event('created', { response }), event('in_progress', { response })];
  };
  const close = (): ResponseEvent[] => {
    const done = open;
    open = null;
    if (!done) return [];
    const item = itemOf(done, statusOf(reason));
    const events = [...endOf(done, at(), event), event('output_item.done', { ...at(), item })];
    output.push(item);
    return events;
  };
  const openMessage = (): ResponseEvent[] => {
    if (open?.kind === 'message') return [];
    const before = close();
    open = { kind: 'message', id: `msg_${named.id}_${output.length}`, text: '' };
    const place = { item_id: open.id, ...at(), content_index: 0 };
    return [
      ...before,
      event('output_item.added', { ...at(), item: itemOf(open, 'in_progress') }),
      event('content_part.added', { ...place, part: textPart('') }),
    ];
  };
  const openCall = (call: CallPiece): ResponseEvent[] => {
    if (open?.kind === 'call' && open.index === call.index) return [];
    const before = close();
    const { index, name = '' } = call;
    open = { kind: 'call', id: `fc_${named.id}_${index}`, index, callId: callIdOf(named, call), name, json: '' };
    return [...before, event('output_item.added', { ...at(), item: itemOf(open, 'in_progress') })];
  };
  const say = (delta: string): ResponseEvent[] => {
    const before = openMessage();
    if (open?.kind === 'message') open.text += delta;
    const place = { item_id: open?.id, ...at(), content_index: 0 };
    return [...before, event('output_text.delta', { ...place, delta, logprobs: [] })];
  };
  const argue = (call: CallPiece): ResponseEvent[] => {
    const before = openCall(call);
    if (open?.kind === 'call') open.json += call.json;
    if (call.json === '') return before;
    return [...before, event('function_call_arguments.delta', { item_id: open?.id, ...at(), delta: call.json })];
  };
  return {
    push(chunk) {
      const piece = readPiece(chunk);
      usage = piece.usage ?? usage;
      reason = piece.reason ?? reason;
      return [...begin(), ...(piece.text === '' ? [] : say(piece.text)), ...piece.calls.flatMap(argue)];
    },
    end() {
      const empty = begun && output.length === 0 && !open ? openMessage() : [];
      const before = [...begin(), ...empty, ...close()];
      const status = statusOf(reason);
      return [...before, event(status, { response: responseOf(named, status, output, usage) })];
    },
  };
}

const itemOf = (open: Open, status: Status) =>
  open.kind === 'message'
    ? messageItem(open.id, open.text, status)
    : callItem(open.id, open.callId, open.name, open.json, status);

function endOf(
  done: Open,
  at: { readonly output_index: number },
  event: (type: string, fields: Record<string, unknown>) => ResponseEvent,
): ResponseEvent[] {
  if (done.kind === 'call') {
    const said = { item_id: done.id, ...at, name: done.name, arguments: done.json };
    return [event('function_call_arguments.done', said)];
  }
  const place = { item_id: done.id, ...at, content_index: 0 };
  return [
    event('output_text.done', { ...place, text: done.text, logprobs: [] }),
    event('content_part.done', { ...place, part: textPart(done.text) }),
  ];
}
