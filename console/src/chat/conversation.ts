import type { ApiProblem } from '../api/problem.ts';
import type { ChatEvent, ChatMessage, ChatUsage, Progress } from '../api/types.ts';

/** One question and what became of it. Times are ms of a clock that only runs forward. */
export interface Turn {
  readonly id: number;
  readonly model: string;
  readonly question: string;
  readonly answer: string;
  readonly status: 'waiting' | 'streaming' | 'done' | 'stopped' | 'failed';
  /** While waiting for a cold model. */
  readonly progress: Progress | null;
  readonly problem: ApiProblem | null;
  readonly finishReason: string | null;
  readonly usage: ChatUsage | null;
  readonly askedAt: number;
  readonly firstTextAt: number | null;
  readonly endedAt: number | null;
}

export type Conversation = readonly Turn[];

export type TurnChange =
  | { readonly type: 'asked'; readonly id: number; readonly model: string; readonly question: string }
  | { readonly type: 'event'; readonly id: number; readonly event: ChatEvent }
  | { readonly type: 'done' | 'stopped'; readonly id: number }
  | { readonly type: 'failed'; readonly id: number; readonly problem: ApiProblem }
  | { readonly type: 'cleared' };

/** The next conversation. A change for a turn that was cleared away, or has ended, does nothing. */
export function converse(turns: Conversation, change: TurnChange, now: number): Conversation {
  if (change.type === 'cleared') return [];
  if (change.type === 'asked') return [...turns, asked(change, now)];
  return turns.map((turn) => (turn.id === change.id && isOpen(turn) ? changed(turn, change, now) : turn));
}

export const isOpen = (turn: Turn): boolean => turn.status === 'waiting' || turn.status === 'streaming';

function asked({ id, model, question }: { id: number; model: string; question: string }, now: number): Turn {
  return {
    id,
    model,
    question,
    answer: '',
    status: 'waiting',
    progress: null,
    problem: null,
    finishReason: null,
    usage: null,
    askedAt: now,
    firstTextAt: null,
    endedAt: null,
  };
}

function changed(turn: Turn, change: Exclude<TurnChange, { type: 'asked' | 'cleared' }>, now: number): Turn {
  switch (change.type) {
    case 'event':
      return heard(turn, change.event, now);
    case 'failed':
      return { ...turn, status: 'failed', problem: change.problem, progress: null, endedAt: now };
    case 'done':
    case 'stopped':
      return { ...turn, status: change.type, progress: null, endedAt: now };
  }
}

function heard(turn: Turn, event: ChatEvent, now: number): Turn {
  switch (event.type) {
    case 'waiting':
      return turn.status === 'waiting' ? { ...turn, progress: event.progress } : turn;
    case 'text':
      return {
        ...turn,
        status: 'streaming',
        progress: null,
        answer: turn.answer + event.delta,
        firstTextAt: turn.firstTextAt ?? now,
      };
    case 'finish':
      return { ...turn, finishReason: event.reason };
    case 'usage':
      return { ...turn, usage: event.usage };
  }
}

/**
 * What is sent with the next question. Turns without an answer are left out, with their questions: many chat templates
 * refuse two user messages in a row.
 */
export function messages(turns: Conversation, question: string): readonly ChatMessage[] {
  const before = turns
    .filter((turn) => turn.answer !== '')
    .flatMap(({ question: content, answer }): ChatMessage[] => [
      { role: 'user', content },
      { role: 'assistant', content: answer },
    ]);
  return [...before, { role: 'user', content: question }];
}

/** What a finished answer took: time to the first text, then tokens a second after it. */
export function speed(turn: Turn): { readonly firstTextMs: number; readonly tokensPerSecond: number | null } | null {
  if (turn.firstTextAt === null) return null;
  const firstTextMs = turn.firstTextAt - turn.askedAt;
  const seconds = ((turn.endedAt ?? turn.firstTextAt) - turn.firstTextAt) / 1000;
  // The first token came at the start of this time, not in it.
  const tokens = (turn.usage?.completionTokens ?? 0) - 1;
  return { firstTextMs, tokensPerSecond: tokens > 0 && seconds > 0 ? tokens / seconds : null };
}
