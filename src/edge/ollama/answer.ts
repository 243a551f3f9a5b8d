import { parseArguments, readPiece } from '../chat-chunks.ts';
import type { CallTiming } from '../engine-call.ts';

export interface OllamaStream {
  /** The objects that a chunk becomes. */
  push(chunk: Readonly<Record<string, unknown>>): object[];
  /** The last one, with what it took. */
  end(timing: CallTiming & { readonly sinceMs: number }): object;
}

interface StreamOptions {
  readonly kind: 'chat' | 'generate';
  /** As the request named it. */
  readonly model: string;
  readonly now: () => Date;
  /** Milliseconds that never run backwards. */
  readonly clock: () => number;
}

const nanoseconds = (ms: number): number => Math.round(Math.max(0, ms) * 1e6);

/** Makes Ollama's objects of the chunks of an OpenAI stream. A call is told whole, once its arguments are. */
export function createOllamaStream({ kind, model, now, clock }: StreamOptions): OllamaStream {
  const calls = new Map<number, { name: string; json: string }>();
  let reason = 'stop';
  let usage = { input: 0, output: 0 };
  let began: number | undefined;
  const object = (said: Record<string, unknown>, done: boolean): Record<string, unknown> => {
    const { content = '', ...rest } = said;
    const body =
      kind === 'chat' ? { message: { role: 'assistant', content, ...rest } } : { response: content, ...rest };
    return { model, created_at: now().toISOString(), ...body, done };
  };
  const flush = (): object[] => {
    const made = [...calls.values()].map(({ name, json }) => ({ function: { name, arguments: parseArguments(json) } }));
    calls.clear();
    return made.length === 0 ? [] : [object({ tool_calls: made }, false)];
  };
  return {
    push(chunk) {
      const piece = readPiece(chunk);
      if (piece.usage) usage = piece.usage;
      // A stream opens before the prompt is evaluated: the first thing that is said ends that.
      if (piece.text !== '' || piece.reasoning !== '' || piece.calls.length > 0) began ??= clock();
      for (const { index, name, json } of piece.calls) {
        const before = calls.get(index) ?? { name: name ?? '', json: '' };
        calls.set(index, { name: before.name, json: before.json + json });
      }
      const said = [
        ...(piece.reasoning === '' ? [] : [object({ thinking: piece.reasoning }, false)]),
        ...(piece.text === '' ? [] : [object({ content: piece.text }, false)]),
      ];
      if (piece.reason === null) return said;
      reason = piece.reason === 'length' ? 'length' : 'stop';
      return [...said, ...flush()];
    },
    end({ queueMs, wakeMs, totalMs, sinceMs }) {
      const evalMs = began === undefined ? 0 : clock() - began;
      return {
        ...object({}, true),
        done_reason: reason,
        total_duration: nanoseconds(sinceMs),
        load_duration: nanoseconds(queueMs + wakeMs),
        prompt_eval_count: usage.input,
        prompt_eval_duration: nanoseconds(totalMs - evalMs),
        eval_count: usage.output,
        eval_duration: nanoseconds(evalMs),
      };
    },
  };
}

/** One object of all that a stream said: what Ollama answers to who wants no stream. */
export function folded(objects: readonly object[]): Record<string, unknown> {
  const last = (objects.at(-1) ?? {}) as Record<string, unknown>;
  const texts = { content: '', thinking: '' };
  const calls: unknown[] = [];
  for (const one of objects as readonly Record<string, unknown>[]) {
    const said = (one.message ?? { content: one.response, thinking: one.thinking }) as Record<string, unknown>;
    if (typeof said.content === 'string') texts.content += said.content;
    if (typeof said.thinking === 'string') texts.thinking += said.thinking;
    if (Array.isArray(said.tool_calls)) calls.push(...(said.tool_calls as unknown[]));
  }
  const more = {
    ...(texts.thinking === '' ? {} : { thinking: texts.thinking }),
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
  };
  if ('message' in last) return { ...last, message: { role: 'assistant', content: texts.content, ...more } };
  return { ...last, response: texts.content, ...more };
}

/** What is said when nothing was asked: the model is there now, or gone. */
export function loadedAnswer({ kind, model, now }: Omit<StreamOptions, 'clock'>, reason: 'load' | 'unload'): object {
  const body = kind === 'chat' ? { message: { role: 'assistant', content: '' } } : { response: '' };
  return { model, created_at: now().toISOString(), ...body, done: true, done_reason: reason };
}
