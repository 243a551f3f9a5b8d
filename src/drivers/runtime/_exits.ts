import type { ExitedStatus, InstanceHandle } from '#contracts/runtime';

/** How many ends are remembered for `inspect`. */
const remembered = 256;
/** An end that nobody saw. */
export const unseenEnd: ExitedStatus = { state: 'exited', code: null, signal: null, oomKilled: false };

export type ExitListener = (handle: InstanceHandle, status: ExitedStatus) => void;

/** Who is told of an end, and how the last ones were. */
export interface Exits {
  of(id: string): ExitedStatus | undefined;
  publish(handle: InstanceHandle, status: ExitedStatus): void;
  listen(listener: ExitListener): () => void;
  close(): void;
}

export function createExits(onFailure: (id: string, error: unknown) => void): Exits {
  const listeners = new Set<ExitListener>();
  const ends = new Map<string, ExitedStatus>();
  return {
    of: (id: string) => ends.get(id),
    publish(handle: InstanceHandle, status: ExitedStatus) {
      ends.set(handle.id, status);
      for (const oldest of ends.keys()) if (ends.size > remembered) ends.delete(oldest);
      for (const listener of [...listeners]) {
        try {
          listener(handle, status);
        } catch (error) {
          onFailure(handle.id, error);
        }
      }
    },
    listen(listener: ExitListener) {
      // Wrapped, so that the same function registered twice is two registrations.
      const own: ExitListener = (handle, status) => listener(handle, status);
      listeners.add(own);
      return () => void listeners.delete(own);
    },
    close: () => listeners.clear(),
  };
}
