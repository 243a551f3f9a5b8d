import { apiError } from './errors.ts';

export interface IdleSlot {
  readonly id: number;
  /** What it holds from its last conversation. */
  readonly held: readonly number[];
  /** When it was given back last: a count, larger is later; 0 for never used. */
  readonly usedAt: number;
}

export function commonPrefix(a: readonly number[], b: readonly number[]): number {
  const end = Math.min(a.length, b.length);
  let length = 0;
  while (length < end && a[length] === b[length]) length++;
  return length;
}

/** Which of them begins most like the prompt, and in how many tokens. */
export function longestPrefix(slots: readonly Pick<IdleSlot, 'id' | 'held'>[], prompt: readonly number[]) {
  let best = { id: -1, common: 0 };
  for (const { id, held } of slots) {
    const common = commonPrefix(held, prompt);
    if (common > best.common) best = { id, common };
  }
  return best;
}

/**
 * The slot a prompt is best evaluated in.
 *
 * 1. Going on in a slot saves the tokens both have in common and destroys the rest of what the slot held, which
 *    another conversation may come back for. A lost token weighs half a saved one, as it is only perhaps needed again.
 *    The slot with the largest gain wins.
 * 2. Where no slot gains, the one unused for longest is taken (an empty one first): a shared system prompt alone
 *    must not make every new conversation throw out the last one.
 */
export function chooseSlot(idle: readonly IdleSlot[], prompt: readonly number[]): number | undefined {
  let best: { readonly id: number; readonly gain: number } | undefined;
  for (const slot of idle) {
    const common = commonPrefix(slot.held, prompt);
    const gain = common - (slot.held.length - common) / 2;
    if (gain > (best?.gain ?? 0)) best = { id: slot.id, gain };
  }
  if (best) return best.id;
  return idle.toSorted((a, b) => a.usedAt - b.usedAt)[0]?.id;
}

export interface SlotLease {
  readonly id: number;
  /** Gives the slot back, to whoever waits longest. A second call does nothing. */
  release(): void;
}

export interface SlotPool {
  /**
   * Resolves when a slot is free; first come, first served.
   * @throws the signal's reason when it aborts while waiting; a 429 when too many wait already; a 503 once closed.
   */
  acquire(prompt: readonly number[], signal: AbortSignal): Promise<SlotLease>;
  stats(): { readonly total: number; readonly busy: number; readonly waiting: number };
  /** Refuses those who wait and those who come. Leases stay good until they are released. */
  close(): void;
}

interface Waiter {
  readonly prompt: readonly number[];
  grant(lease: SlotLease): void;
  refuse(reason: unknown): void;
}

const closing = () => apiError(503, 'The model is shutting down.', { code: 'shutting_down', retryAfter: 1 });

export function createSlotPool(options: {
  readonly slots: number;
  readonly maxWaiting: number;
  held(slot: number): readonly number[];
}): SlotPool {
  const free = new Set(Array.from({ length: options.slots }, (_, id) => id));
  const usedAt = new Map<number, number>();
  const waiting: Waiter[] = [];
  let uses = 0;
  let closed = false;

  function lease(id: number): SlotLease {
    free.delete(id);
    let held = true;
    return {
      id,
      release() {
        if (!held) return;
        held = false;
        usedAt.set(id, ++uses);
        free.add(id);
        const next = waiting.shift();
        if (next) next.grant(lease(choose(next.prompt) ?? id));
      },
    };
  }

  function choose(prompt: readonly number[]): number | undefined {
    const idle = [...free].map((id) => ({ id, held: options.held(id), usedAt: usedAt.get(id) ?? 0 }));
    return chooseSlot(idle, prompt);
  }

  function wait(prompt: readonly number[], signal: AbortSignal): Promise<SlotLease> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        waiting.splice(waiting.indexOf(waiter), 1);
        reject(signal.reason as Error);
      };
      const waiter: Waiter = {
        prompt,
        grant(granted) {
          signal.removeEventListener('abort', leave);
          resolve(granted);
        },
        refuse(reason) {
          signal.removeEventListener('abort', leave);
          reject(reason as Error);
        },
      };
      waiting.push(waiter);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  return {
    async acquire(prompt, signal) {
      signal.throwIfAborted();
      if (closed) throw closing();
      const id = choose(prompt);
      if (id !== undefined) return lease(id);
      if (waiting.length >= options.maxWaiting) {
        const message = `All ${String(options.slots)} slots are busy and ${String(waiting.length)} requests wait already.`;
        throw apiError(429, message, { code: 'queue_full', type: 'rate_limit_error', retryAfter: 5 });
      }
      return wait(prompt, signal);
    },
    stats: () => ({ total: options.slots, busy: options.slots - free.size, waiting: waiting.length }),
    close() {
      closed = true;
      for (const waiter of waiting.splice(0)) waiter.refuse(closing());
    },
  };
}
