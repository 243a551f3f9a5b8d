import { describe, expect, it } from 'vitest';
import { ApiProblem } from '../api/problem.ts';
import type { ChatEvent } from '../api/types.ts';
import { converse, messages, speed } from './conversation.ts';
import type { Conversation } from './conversation.ts';

const ask = (turns: Conversation, id: number, now = 0) =>
  converse(turns, { type: 'asked', id, model: 'm', question: `q${id}` }, now);
const hear = (turns: Conversation, id: number, event: ChatEvent, now = 0) =>
  converse(turns, { type: 'event', id, event }, now);
const text = (delta: string): ChatEvent => ({ type: 'text', delta });
const problem = new ApiProblem('no', { status: 503, code: 'NO_MEMORY' });

describe('converse', () => {
  it('shows the wake until the first text, then the text', () => {
    const waiting = hear(ask([], 0), 0, { type: 'waiting', progress: { phase: 'starting', percent: 40 } });
    expect(waiting[0]).toMatchObject({ status: 'waiting', progress: { percent: 40 } });
    const streaming = hear(hear(waiting, 0, text('Hel')), 0, text('lo'));
    expect(streaming[0]).toMatchObject({ status: 'streaming', progress: null, answer: 'Hello' });
    expect(converse(streaming, { type: 'done', id: 0 }, 0)[0]).toMatchObject({ status: 'done', answer: 'Hello' });
  });

  it('keeps what had come when stopped or failed, and lets nothing change it afterwards', () => {
    const half = hear(ask([], 0), 0, text('Hel'));
    const stopped = converse(half, { type: 'stopped', id: 0 }, 0);
    expect(hear(stopped, 0, text('lo'))).toEqual(stopped);
    const failed = converse(half, { type: 'failed', id: 0, problem }, 0);
    expect(converse(failed, { type: 'done', id: 0 }, 0)[0]).toMatchObject({ status: 'failed', answer: 'Hel', problem });
  });

  it('does nothing for a turn that was cleared away', () => {
    const cleared = converse(ask([], 0), { type: 'cleared' }, 0);
    expect(hear(cleared, 0, text('late'))).toEqual([]);
  });
});

describe('messages', () => {
  it('sends questions with their answers, and leaves out turns that have none', () => {
    const first = hear(ask([], 0), 0, text('a0'));
    const failed = converse(ask(first, 1), { type: 'failed', id: 1, problem }, 0);
    expect(messages(failed, 'next')).toEqual([
      { role: 'user', content: 'q0' },
      { role: 'assistant', content: 'a0' },
      { role: 'user', content: 'next' },
    ]);
  });
});

describe('speed', () => {
  it('counts from the question to the first text, and the tokens after it', () => {
    let turns = hear(ask([], 0, 1000), 0, text('a'), 1500);
    turns = hear(turns, 0, { type: 'usage', usage: { promptTokens: 1, completionTokens: 21 } }, 3000);
    turns = converse(turns, { type: 'done', id: 0 }, 3500);
    expect(turns.map(speed)).toEqual([{ firstTextMs: 500, tokensPerSecond: 10 }]);
  });

  it('says nothing of an answer that never came, and no rate without a count', () => {
    expect(ask([], 0).map(speed)).toEqual([null]);
    const turns = converse(hear(ask([], 0), 0, text('a'), 5), { type: 'stopped', id: 0 }, 9);
    expect(turns.map(speed)).toEqual([{ firstTextMs: 5, tokensPerSecond: null }]);
  });
});
