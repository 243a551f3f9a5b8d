import type { SendHandle } from 'node:child_process';
import type { Socket } from 'node:net';
import type { Clock } from '#kernel/clock';
import { handleOf } from './handles.ts';
import type { FromWorker, Passed, RelayEnd, RelayFacts, ToWorker } from './messages.ts';

/** The rest of an answer that a worker passes on, and who hears of it. */
export interface Relayed extends Omit<RelayFacts, 'id'> {
  readonly client: Socket;
  readonly upstream: Socket;
  passed(passed: Passed): void;
  /** Comes once, as the last. `lost`: the worker has died, perhaps in the middle of writing something. */
  over(end: RelayEnd | { readonly how: 'lost' }): void;
}

/** Ends a relay; `over` comes all the same. */
export type Drop = () => void;

/** Sends a message, perhaps with a connection. `failed` is called where it could not be sent. */
export type Say = (message: ToWorker, handle?: SendHandle, failed?: () => void) => void;

/** The relays that are with one worker. */
export interface Relays {
  readonly size: number;
  /** Bytes that went to clients, of all that were ever begun, as far as the worker has told. */
  readonly bytes: number;
  /** Null where one of the connections is closed, or cannot be sent. */
  begin(relayed: Relayed): Drop | null;
  hear(message: FromWorker): void;
  /** The worker has died. */
  lose(): void;
}

/** Milliseconds in which a worker ends what it was told to drop. Its lease is held until then. */
const dropMs = 5_000;

export interface RelaysOptions {
  readonly clock: Clock;
  readonly say: Say;
  /** The worker does not do what it is told. */
  readonly stuck: () => void;
}

export function createRelays({ clock, say, stuck }: RelaysOptions): Relays {
  const relays = new Map<number, Relayed>();
  let last = 0;
  let bytes = 0;
  const pass = (relayed: Relayed, passed: Passed): void => {
    bytes += passed.bytes;
    relayed.passed(passed);
  };
  const end = (id: number, how: Parameters<Relayed['over']>[0], passed: Passed | null = null): void => {
    const relayed = relays.get(id);
    relays.delete(id);
    if (relayed && passed) pass(relayed, passed);
    relayed?.over(how);
  };
  return {
    get size() {
      return relays.size;
    },
    get bytes() {
      return bytes;
    },
    begin(relayed) {
      const { framing, isFramed, shown } = relayed;
      const [client, upstream] = [handleOf(relayed.client), handleOf(relayed.upstream)];
      if (!client || !upstream) return null;
      const id = ++last;
      const drop = () => {
        say({ kind: 'drop', id });
        clock.after(dropMs, () => void (relays.has(id) && stuck()));
      };
      relays.set(id, relayed);
      say({ kind: 'client', id }, client, drop);
      say({ kind: 'relay', id, framing, isFramed, shown }, upstream, drop);
      return drop;
    },
    hear(message) {
      for (const [id, passed] of message.kind === 'passed' ? message.of : []) {
        const relayed = relays.get(id);
        if (relayed) pass(relayed, passed);
      }
      if (message.kind === 'relayed') end(message.id, message.end, message.passed);
    },
    lose() {
      for (const id of [...relays.keys()]) end(id, { how: 'lost' });
    },
  };
}
