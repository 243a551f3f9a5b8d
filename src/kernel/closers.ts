/** Things to close, closed in the reverse order of their start; every error is kept. */
export interface Closers {
  /** What comes after everything was closed (a start that was overtaken by the stop) is closed at once. */
  add(close: () => Promise<void> | void): void;
  /** Closes everything once; a second call waits for the first. Throws AggregateError when something failed to close. */
  close(): Promise<void>;
}

export function createClosers(): Closers {
  const stack: (() => Promise<void> | void)[] = [];
  let closing: Promise<void> | undefined;
  let running = false;
  const run = async () => {
    running = true;
    const errors: unknown[] = [];
    for (let close = stack.pop(); close; close = stack.pop()) {
      try {
        await close();
      } catch (error) {
        errors.push(error);
      }
    }
    running = false;
    if (errors.length > 0) throw new AggregateError(errors, 'Some parts did not close properly.');
  };
  return {
    add(close) {
      stack.push(close);
      if (!closing || running) return;
      closing = Promise.allSettled([closing, run()]).then(rethrow);
      // Nobody may be waiting any more; whoever calls `close` again still hears of it.
      closing.catch(() => undefined);
    },
    close: () => (closing ??= run()),
  };
}

const rethrow = (results: readonly PromiseSettledResult<void>[]): void => {
  const errors = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  if (errors.length > 0)
    throw errors.length === 1 ? errors[0] : new AggregateError(errors, 'Some parts did not close properly.');
};
