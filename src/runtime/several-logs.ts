import type { FollowOptions, Logs } from './logs.ts';

/** One of the logs that are shown together. */
export interface NamedLog {
  readonly name: string;
  readonly file: string;
}

/** The last lines of each, one log after the other; where there are several, each line says of which it is. */
export async function tailAll(all: readonly NamedLog[], lines: number, logs: Pick<Logs, 'tail'>): Promise<string[]> {
  const mark = marker(all);
  const found = await Promise.all(
    all.map(async (one) => (await logs.tail(one.file, lines)).map((line) => mark(one, line))),
  );
  return found.flat();
}

/**
 * All of them as they are written, in the order in which their lines come. Ends with the signal; one that fails ends all. A
 * slow reader makes each of them wait with its next line, so that nothing is gathered for it.
 */
export async function* followAll(
  all: readonly NamedLog[],
  { signal, lines = 0 }: FollowOptions,
  logs: Pick<Logs, 'follow'>,
): AsyncGenerator<string, void> {
  const mark = marker(all);
  const ended = new AbortController();
  const options = { lines, signal: AbortSignal.any([signal, ended.signal]) };
  const ready: { readonly text: string; readonly goOn: () => void }[] = [];
  let wake = () => undefined as void;
  let open = all.length;
  let failure: { readonly error: unknown } | null = null;
  const read = async (one: NamedLog): Promise<void> => {
    try {
      for await (const line of logs.follow(one.file, options)) {
        if (ended.signal.aborted) return;
        await new Promise<void>((goOn) => {
          ready.push({ text: mark(one, line), goOn });
          wake();
        });
      }
    } catch (error) {
      failure ??= { error };
    } finally {
      open--;
      wake();
    }
  };
  const readers = all.map(read);
  try {
    for (;;) {
      for (let next = ready.shift(); next; next = ready.shift()) {
        next.goOn();
        yield next.text;
      }
      throwIfFailed(failure);
      if (open === 0) return;
      await new Promise<void>((resolve) => (wake = resolve));
    }
  } finally {
    // Whoever leaves early leaves nobody reading.
    ended.abort();
    for (const { goOn } of ready) goOn();
    await Promise.allSettled(readers);
  }
}

function throwIfFailed(failure: { readonly error: unknown } | null): void {
  if (failure) throw failure.error;
}

function marker(all: readonly NamedLog[]): (one: NamedLog, line: string) => string {
  if (all.length === 1) return (_one, line) => line;
  const width = Math.max(...all.map(({ name }) => name.length));
  return ({ name }, line) => `${name.padEnd(width)} | ${line}`;
}
