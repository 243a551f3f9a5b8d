/** Things to close, closed in the reverse order of their start; every error is kept. */
export interface Closers {
  add(close: () => Promise<void> | void): void;
  /** Closes everything once; a second call waits for the first. Throws AggregateError when something failed to close. */
  close(): Promise<void>;
}

export function createClosers(): Closers {
  const stack: (() => Promise<void> | void)[] = [];
  let closing: Promise<void> | undefined;
  const run = async () => {
    const errors: unknown[] = [];
    for (let close = stack.pop(); close; close = stack.pop()) {
      try {
        await close();
      } catch (error) {
        errors.push(error);
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'Some parts did not close properly.');
  };
  return { add: (close) => void stack.push(close), close: () => (closing ??= run()) };
}
