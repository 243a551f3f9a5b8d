import { decodeProgress, fields, isNumber, list, parseJson, text } from './decode.ts';
import { problemFrom } from './problem.ts';
import type { SseItem } from './sse.ts';
import type { ChatEvent } from './types.ts';

/**
 * What one item of a streamed chat completion means. Comments that carry JSON with a phase report a cold start; any
 * other comment is a keep-alive. An error after the headers comes as data with `error` in it and is thrown.
 */
export function chatEvents(item: SseItem): readonly ChatEvent[] {
  if (item.kind === 'comment') {
    const progress = decodeProgress(parseJson(item.text));
    return progress ? [{ type: 'waiting', progress }] : [];
  }
  if (item.data === '[DONE]') return [];
  const chunk = fields(parseJson(item.data));
  if (item.event === 'error' || chunk['error'] !== undefined) throw problemFrom(200, item.data);
  return [...choiceEvents(fields(list(chunk['choices'])[0])), ...usageEvents(chunk['usage'])];
}

function choiceEvents(choice: Readonly<Record<string, unknown>>): ChatEvent[] {
  const delta = text(fields(choice['delta'])['content']);
  const reason = text(choice['finish_reason']);
  return [
    ...(delta ? [{ type: 'text', delta } as const] : []),
    ...(reason ? [{ type: 'finish', reason } as const] : []),
  ];
}

function usageEvents(value: unknown): ChatEvent[] {
  const { prompt_tokens: prompt, completion_tokens: completion } = fields(value);
  if (!isNumber(prompt) || !isNumber(completion)) return [];
  return [{ type: 'usage', usage: { promptTokens: prompt, completionTokens: completion } }];
}
