/**
 * One writer, many readers, each with a bounded buffer of its own: a reader that falls behind loses the oldest and is
 * told how many (`onDropped`), and never slows the writer or the others.
 */
export interface Channel<T> {
  publish(value: T): void;
  /** Starts at once: what is published after this call is not missed. Ends on abort or when the channel closes. */
  subscribe(signal: AbortSignal, onDropped?: (count: number) => void): AsyncIterable<T>;
  /** Calls back on every value until the returned function is called. For the platform's own parts, which never fall behind. */
  listen(listener: (value: T) => void): () => void;
  close(): void;
}

export function createChannel<T>(capacity = 256): Channel<T> {
  const listeners = new Set<(value: T) => void>();
  const enders = new Set<() => void>();
  let closed = false;
  return {
    publish(value) {
      // A copy: one that subscribes from within a listener must not get what was published before it came.
      for (const listener of [...listeners]) if (listeners.has(listener)) listener(value);
    },
    listen(listener) {
      // Wrapped, so that a function that listens twice is called twice and leaves one at a time.
      const own = (value: T) => listener(value);
      if (!closed) listeners.add(own);
      return () => listeners.delete(own);
    },
    subscribe(signal, onDropped) {
      const buffer: T[] = [];
      let wake: (() => void) | undefined;
      let ended = closed || signal.aborted;
      const push = (value: T) => {
        if (buffer.length >= capacity) {
          buffer.shift();
          onDropped?.(1);
        }
        buffer.push(value);
        wake?.();
      };
      const end = () => {
        ended = true;
        listeners.delete(push);
        enders.delete(end);
        signal.removeEventListener('abort', leave);
        wake?.();
      };
      // Who left wants nothing more; who is there when the channel closes still gets what was published before.
      const leave = () => {
        buffer.length = 0;
        end();
      };
      if (!ended) {
        listeners.add(push);
        enders.add(end);
        signal.addEventListener('abort', leave, { once: true });
      }
      return (async function* () {
        try {
          for (;;) {
            while (buffer.length > 0) yield buffer.shift() as T;
            if (ended) return;
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
            wake = undefined;
          }
        } finally {
          end();
        }
      })();
    },
    close() {
      closed = true;
      for (const end of [...enders]) end();
      listeners.clear();
    },
  };
}
