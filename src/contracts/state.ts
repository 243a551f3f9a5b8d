import type { Driver, Json } from './driver.ts';

/**
 * What the platform itself must not forget: the instances it left running, what it learned, its keys. Small, local and
 * synchronous: a value that was put is on disk when `put` returns.
 */
export interface StateStore extends Driver {
  table<T extends Json>(name: string): StateTable<T>;
}

export interface StateTable<T extends Json> {
  get(key: string): T | null;
  put(key: string, value: T): void;
  delete(key: string): void;
  list(): { readonly key: string; readonly value: T }[];
}
