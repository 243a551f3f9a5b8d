import { setImmediate } from 'node:timers/promises';

/**
 * Hands values on one ahead: the next is being made while the last is looked at. Nothing beyond `limit` is begun. When
 * it is left early it waits for what was begun, so that whoever comes next finds everything at rest.
 */
export async function* ahead<T>(
  source: AsyncGenerator<T, unknown, void>,
  limit: number,
  onValue: (value: T) => void = () => undefined,
): AsyncGenerator<T, void, void> {
  let next = begin(source);
  try {
    for (let count = 1; ; count++) {
      const result = await next;
      if (result.done) return;
      onValue(result.value);
      if (count < limit) {
        next = begin(source);
        // The work is handed over on the event loop's next turn; what is done with this value comes after that.
        await setImmediate();
      }
      yield result.value;
      if (count >= limit) return;
    }
  } finally {
    await next.catch(() => undefined);
    await source.return(undefined);
  }
}

function begin<T>(source: AsyncGenerator<T, unknown, void>): Promise<IteratorResult<T, unknown>> {
  const next = source.next();
  // Heard when it is awaited; until then it must not count as unheard.
  next.catch(() => undefined);
  return next;
}
