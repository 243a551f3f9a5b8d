import { useEffect, useState } from 'react';
import type { WiringMap } from '../api/types.ts';
import { useConsole, useServices } from '../store/context.tsx';

/** Requests are no events: what was asked meanwhile is read again so often, in milliseconds, while somebody looks. */
const againMs = 10_000;

/** Null until it was read once. Read again when something starts or ends, for that changes who has a key. */
export function useMap(isOpen: boolean): WiringMap | null {
  const { client } = useServices();
  const live = useConsole((state) => state.connection.status === 'live');
  const running = useConsole((state) =>
    [...state.units.values()]
      .flatMap(({ instance }) => instance?.id ?? [])
      .toSorted()
      .join('\n'),
  );
  const [map, setMap] = useState<WiringMap | null>(null);

  useEffect(() => {
    if (!live || !isOpen) return;
    const abort = new AbortController();
    // What was read before stays: the page says by itself that the platform does not answer.
    const read = () => client.map(abort.signal).then(setMap, () => undefined);
    void read();
    const timer = setInterval(() => document.visibilityState === 'visible' && void read(), againMs);
    return () => {
      clearInterval(timer);
      abort.abort();
    };
  }, [client, live, isOpen, running]);

  return map;
}
