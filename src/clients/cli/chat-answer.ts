import type { ApiProgress } from '#contracts/api';
import { Fault } from '#kernel/faults';
import { faultOfProblem } from '../http.ts';
import type { Client } from '../http.ts';
import { parseWake } from './progress.ts';

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

export interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly total_tokens: number;
}

export interface Answer {
  readonly text: string;
  readonly usage: Usage | null;
  readonly model: string;
  /** `stop`, `length` ...; null when the model did not say. */
  readonly finish: string | null;
}

export interface Listener {
  onWake(progress: ApiProgress): void;
  onText(text: string): Promise<void> | void;
}

interface Chunk {
  readonly model?: string;
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: Usage | null;
  readonly error?: unknown;
}

/** One answer, streamed as `/v1/chat/completions` streams it. The wake before it comes as comments. */
export async function ask(
  client: Client,
  request: { readonly model: string; readonly messages: readonly Message[] },
  listener: Listener,
  signal: AbortSignal,
): Promise<Answer> {
  const body = { ...request, stream: true, stream_options: { include_usage: true } };
  let answer: Answer = { text: '', usage: null, model: request.model, finish: null };
  for await (const item of client.events('POST', '/v1/chat/completions', { body, signal })) {
    if (item.kind === 'comment') {
      const wake = parseWake(item.text);
      if (wake) listener.onWake(wake);
      continue;
    }
    if (item.data === '[DONE]') return answer;
    const chunk = parseChunk(item.data);
    if (item.event === 'error' || chunk.error !== undefined) throw faultOfProblem(chunk);
    const choice = chunk.choices?.[0];
    const text = choice?.delta?.content ?? '';
    answer = {
      text: answer.text + text,
      usage: chunk.usage ?? answer.usage,
      model: chunk.model ?? answer.model,
      finish: choice?.finish_reason ?? answer.finish,
    };
    if (text !== '') await listener.onText(text);
  }
  throw new Fault('UPSTREAM_FAILED', 'The connection ended in the middle of the answer.');
}

function parseChunk(data: string): Chunk {
  try {
    const value: unknown = JSON.parse(data);
    if (typeof value === 'object' && value !== null) return value;
  } catch {
    // Said below, in one way for everything that is no chunk.
  }
  throw new Fault('UPSTREAM_FAILED', 'The platform sent something that is not part of an answer.');
}
