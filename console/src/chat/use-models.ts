import { useEffect, useState } from 'react';
import { useConsole, useServices } from '../store/context.tsx';

const defaultModel = 'default';

/** What can be asked, `default` first: read again when the catalogue's models or the connection change. */
export function useModels(): readonly string[] {
  const { client } = useServices();
  const live = useConsole((state) => state.connection.status === 'live');
  const known = useConsole((state) =>
    [...state.units.keys()]
      .filter((id) => id.startsWith('model/'))
      .toSorted()
      .join('\n'),
  );
  const [models, setModels] = useState<readonly string[]>([defaultModel]);

  useEffect(() => {
    if (!live) return;
    const abort = new AbortController();
    client.models(abort.signal).then(
      (ids) => setModels([...new Set([defaultModel, ...ids])]),
      // `default` is always there; a platform that cannot list will say why when it is asked.
      () => undefined,
    );
    return () => abort.abort();
  }, [client, live, known]);

  return models;
}
