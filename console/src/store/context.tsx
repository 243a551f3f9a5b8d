import { createContext, useContext, useSyncExternalStore } from 'react';
import type { Client } from '../api/client.ts';
import type { Live } from './live.ts';
import type { ConsoleState } from './state.ts';
import type { Store } from './store.ts';

/** What every part of the page may use. */
export interface Services {
  readonly client: Client;
  readonly store: Store;
  readonly live: Live;
}

export const ServicesContext = createContext<Services | null>(null);

export function useServices(): Services {
  const services = useContext(ServicesContext);
  if (!services) throw new Error('ServicesContext has no value: render inside <ServicesContext value={...}>.');
  return services;
}

/** A part of the state. `select` must give back a part as it is, never a new object: drawing would not end. */
export function useConsole<T>(select: (state: ConsoleState) => T): T {
  const { store } = useServices();
  return useSyncExternalStore(store.subscribe, () => select(store.get()));
}
