import { createServer } from 'node:net';
import type { StateStore } from '#contracts/state';
import type { UnitId } from '#kernel/ids';

/** Which port each service had, so that it has it again: whoever was told of it can still reach it. */
export interface Ports {
  /** The one that it had, where that is free; else another one, which nobody else had. Remembered from then on. */
  take(unit: UnitId, host: string): Promise<number>;
  /** It could not be started there: another program may hold what looked free. The next start takes another one. */
  forget(unit: UnitId): void;
}

/** Of services alone: the door, and nobody else, is told of a model's port, and asks for it each time. */
export function openPorts(store: StateStore): Ports {
  const table = store.table<number>('ports');
  return {
    async take(unit, host) {
      if (!unit.startsWith('service/')) return freePort(host);
      const known = table.list();
      const had = known.find(({ key }) => key === unit)?.value;
      if (had !== undefined && (await isFree(had, host))) return had;
      const port = await freePort(host, new Set(known.map(({ value }) => value)));
      table.put(unit, port);
      return port;
    },
    forget(unit) {
      try {
        table.delete(unit);
      } catch {
        // The disk is full, and why the start failed is the better thing to tell.
      }
    },
  };
}

/** So many others in a row are not free by chance. */
const tries = 64;

/**
 * A loopback port that is free now, from the range the kernel hands out. Between this and the service's own bind another
 * program may take it: then the start fails and is tried again with another one. Linux takes those of listeners and those of
 * outgoing connections from different halves of the range: one that sleeps seldom loses its port to a connection.
 */
export async function freePort(host = '127.0.0.1', taken: ReadonlySet<number> = new Set()): Promise<number> {
  for (let i = 1; ; i++) {
    const port = await bound(0, host);
    if (!taken.has(port) || i === tries) return port;
  }
}

const isFree = (port: number, host: string): Promise<boolean> =>
  bound(port, host).then(
    () => true,
    () => false,
  );

/** Binds and lets go again. Resolves with the port, which for 0 the kernel chooses. */
function bound(port: number, host: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen({ port, host, exclusive: true }, () => {
      const address = server.address();
      server.close((error) => {
        if (error || typeof address !== 'object' || address === null) reject(error ?? new Error('no address'));
        else resolve(address.port);
      });
    });
  });
}
