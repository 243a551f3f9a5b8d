import type { ChatMessage, ToolCall } from './contract.ts';
import { badParam } from './errors.ts';
import { isObject } from './json.ts';
import type { ChatItem, FunctionCall } from './llama-cpp.ts';

type Item =
  Exclude<ChatItem, { readonly type: 'model' }> | { readonly type: 'model'; response: (string | FunctionCall)[] };

/**
 * A conversation as the library takes it: what a call came to is a part of the call, and what the assistant says after it
 * belongs to the same turn.
 * @throws a 400 for a result that belongs to no call, or a call without its result.
 */
export function historyOf(messages: readonly ChatMessage[]): ChatItem[] {
  const items: Item[] = [];
  const open = new Map<string, { readonly at: number; readonly response: (string | FunctionCall)[] }>();
  messages.forEach((message, index) => {
    if (message.role === 'tool') return settle(message, index, open);
    if (open.size > 0) throw unanswered([...open.keys()], index);
    if (message.role !== 'assistant') return void items.push({ type: message.role, text: message.text });
    const turn = turnOf(items);
    if (message.text !== '') turn.response.push(message.text);
    message.calls?.forEach((call, place) => {
      if (open.has(call.id))
        throw badParam(`messages[${String(index)}].tool_calls`, `Two calls have the id '${call.id}'.`);
      open.set(call.id, { at: turn.response.length, response: turn.response });
      turn.response.push(madeCall(call, place === 0));
    });
  });
  if (open.size > 0) throw unanswered([...open.keys()], messages.length);
  return items;
}

/** The assistant's turn that the conversation is in, or a new one. */
function turnOf(items: Item[]): Extract<Item, { readonly type: 'model' }> {
  const last = items.at(-1);
  const called = last?.type === 'model' && typeof last.response.at(-1) === 'object';
  if (called) return last;
  const turn = { type: 'model' as const, response: [] };
  items.push(turn);
  return turn;
}

const madeCall = (call: ToolCall, startsNewChunk: boolean): FunctionCall => ({
  type: 'functionCall',
  name: call.name,
  params: call.arguments,
  result: undefined,
  startsNewChunk,
});

function settle(
  { callId, text }: Extract<ChatMessage, { readonly role: 'tool' }>,
  index: number,
  open: Map<string, { readonly at: number; readonly response: (string | FunctionCall)[] }>,
): void {
  const found = open.get(callId);
  const call = found?.response[found.at];
  if (!found || typeof call !== 'object') {
    const param = `messages[${String(index)}].tool_call_id`;
    throw badParam(param, `Invalid '${param}': no call before it that still waits for its result has this id.`);
  }
  found.response[found.at] = { ...call, result: resultOf(text) };
  open.delete(callId);
}

/** Templates write a structure as one; anything else is text. */
function resultOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) || Array.isArray(value) ? value : text;
  } catch {
    return text;
  }
}

function unanswered(ids: readonly string[], index: number) {
  const message =
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. " +
    `Missing for: ${ids.join(', ')}.`;
  return badParam(`messages[${String(index)}]`, message);
}
