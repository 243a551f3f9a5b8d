import { useEffect, useRef, useState } from 'react';
import { asProblem } from '../api/problem.ts';
import { useServices } from '../store/context.tsx';
import { converse, isOpen, messages } from './conversation.ts';
import type { Conversation, TurnChange } from './conversation.ts';

export interface Chat {
  readonly turns: Conversation;
  readonly busy: boolean;
  /** Asks, unless an answer is still on its way. */
  ask(model: string, question: string): void;
  stop(): void;
  clear(): void;
}

/** The conversation of this page, kept in its memory only. Leaving the page aborts, so that nothing generates for nobody. */
export function useChat(): Chat {
  const { client } = useServices();
  const [turns, setTurns] = useState<Conversation>([]);
  const abort = useRef<AbortController | null>(null);
  const nextId = useRef(0);
  useEffect(() => () => abort.current?.abort(), []);

  const change = (what: TurnChange) => {
    const now = performance.now();
    setTurns((before) => converse(before, what, now));
  };

  async function run(model: string, question: string): Promise<void> {
    const id = nextId.current++;
    const own = new AbortController();
    abort.current = own;
    const request = { model, messages: messages(turns, question) };
    change({ type: 'asked', id, model, question });
    try {
      for await (const event of client.chat(request, own.signal)) change({ type: 'event', id, event });
      change({ type: 'done', id });
    } catch (error) {
      change(own.signal.aborted ? { type: 'stopped', id } : { type: 'failed', id, problem: asProblem(error) });
    } finally {
      if (abort.current === own) abort.current = null;
    }
  }

  return {
    turns,
    busy: turns.some(isOpen),
    ask(model, question) {
      if (abort.current === null) void run(model, question);
    },
    stop: () => abort.current?.abort(),
    clear() {
      abort.current?.abort();
      change({ type: 'cleared' });
    },
  };
}
