import type { Json } from './driver.ts';
import type { StateStore } from './state.ts';

/** What is kept, in memory. `rows` is by table, as text: what was put is not what was kept a hold of. */
export function memoryState(): StateStore & { readonly rows: ReadonlyMap<string, ReadonlyMap<string, string>> } {
  const rows = new Map<string, Map<string, string>>();
  const table = <T extends Json>(name: string) => {
    const own = rows.get(name) ?? new Map<string, string>();
    rows.set(name, own);
    return {
      get: (key: string) => (own.has(key) ? (JSON.parse(own.get(key) ?? '') as T) : null),
      put: (key: string, value: T) => void own.set(key, JSON.stringify(value)),
      delete: (key: string) => void own.delete(key),
      list: () => [...own].map(([key, value]) => ({ key, value: JSON.parse(value) as T })),
    };
  };
  return { rows, table, close: async () => undefined };
}
