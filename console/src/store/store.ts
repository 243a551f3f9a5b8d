import { initialState, reduce } from './state.ts';
import type { Change, ConsoleState } from './state.ts';

export interface Store {
  get(): ConsoleState;
  dispatch(change: Change): void;
  /** Calls back after every change; gives back how to stop. */
  subscribe(listener: () => void): () => void;
}

export function createStore(): Store {
  let state = initialState;
  const listeners = new Set<() => void>();
  return {
    get: () => state,
    dispatch(change) {
      const next = reduce(state, change);
      if (next === state) return;
      state = next;
      for (const listener of listeners) listener();
    },
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
