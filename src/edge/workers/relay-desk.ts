import type { Socket } from 'node:net';
import { socketOn } from './handles.ts';
import type { FromWorker, Passed, RelayFacts } from './messages.ts';
import { createRelay } from './relay.ts';
import type { Relay } from './relay.ts';

/** Milliseconds between what is told of all relays together. */
const tellMs = 100;

/** The relays of this worker, by the platform's ids. */
export interface RelayDesk {
  client(id: number, handle: unknown): void;
  relay(facts: RelayFacts, handle: unknown): void;
  drop(id: number): void;
}

export function createRelayDesk(tell: (message: FromWorker) => void): RelayDesk {
  const clients = new Map<number, Socket>();
  const relays = new Map<number, Relay>();
  let timer: NodeJS.Timeout | null = null;
  const look = () => {
    const of = [...relays].flatMap(([id, relay]) => {
      const passed = relay.passed();
      return passed ? [[id, passed] as readonly [number, Passed]] : [];
    });
    if (of.length > 0) tell({ kind: 'passed', of });
    timer = relays.size > 0 ? setTimeout(look, tellMs) : null;
  };
  const takeClient = (id: number): Socket | undefined => {
    const client = clients.get(id);
    clients.delete(id);
    return client;
  };
  const notBegun = (id: number) => tell({ kind: 'relayed', id, passed: null, end: { how: 'dropped', isCut: false } });
  return {
    client(id, handle) {
      if (handle) clients.set(id, socketOn(handle, 'writing'));
    },
    relay({ id, ...facts }, handle) {
      tell({ kind: 'taken' });
      const client = takeClient(id);
      // One of them was closed on the way.
      if (!client || !handle) {
        client?.destroy();
        return notBegun(id);
      }
      const over: Parameters<typeof createRelay>[0]['over'] = (end) => {
        relays.delete(id);
        tell({ kind: 'relayed', id, passed: relay.passed(), end });
      };
      const relay = createRelay({ ...facts, client, upstream: socketOn(handle, 'reading'), over });
      relays.set(id, relay);
      timer ??= setTimeout(look, tellMs);
    },
    drop(id) {
      const relay = relays.get(id);
      if (relay) return relay.drop();
      // It never began, or has ended meanwhile: then the platform does not listen any more.
      takeClient(id)?.destroy();
      notBegun(id);
    },
  };
}
