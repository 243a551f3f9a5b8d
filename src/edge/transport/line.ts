import { abortFault } from '#kernel/abort';
import type { Connection } from './connection.ts';

/** Somebody who waits for a connection. */
interface Waiter {
  use(connection: Connection): void;
  refuse(why: unknown): void;
}

/** Those who wait for a connection, in the order in which they came. Each hears once. */
export interface Line {
  /** `left` is called instead of `use` when the signal aborts first. */
  join(signal: AbortSignal, use: (connection: Connection) => void, left: (why: unknown) => void): void;
  /** The one who came first, who leaves the line when called; undefined where there is none. */
  next(): Waiter['use'] | undefined;
  readonly isEmpty: boolean;
  refuseAll(why: unknown): void;
}

export function createLine(): Line {
  const line = new Set<Waiter>();
  return {
    join(signal, use, left) {
      const end = () => {
        line.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const refuse = (why: unknown) => {
        end();
        left(why);
      };
      const onAbort = () => refuse(abortFault(signal));
      const waiter: Waiter = {
        use(connection) {
          end();
          use(connection);
        },
        refuse,
      };
      line.add(waiter);
      signal.addEventListener('abort', onAbort, { once: true });
    },
    next() {
      const [first] = line;
      return first?.use;
    },
    get isEmpty() {
      return line.size === 0;
    },
    refuseAll(why) {
      for (const waiter of [...line]) waiter.refuse(why);
    },
  };
}
