import type { Socket } from 'node:net';
import type { Drop, Relayed, Relays, Say } from './relays.ts';

/** A client's connection that waits to be sent, and what is done with it where no worker takes it. */
export interface Offered {
  readonly socket: Socket;
  readonly here: () => void;
}

/** What is on its way to a worker: connections, one after the other. */
export interface Handing {
  /** Connections for TLS that are with it, or wait to be. */
  readonly open: number;
  /** Whether a relay would be sent at once. */
  readonly isFree: boolean;
  offer(offered: Offered): void;
  /** Only where it is free. Null where one of the connections is closed by now. */
  relay(relayed: Relayed): Drop | null;
  /** What was sent last has come. */
  taken(): void;
  /** So many connections for TLS have closed there. */
  closed(count: number): void;
  /** The worker has died: begins anew, and returns the connections that had not come to it. */
  reset(): readonly Offered[];
}

export function createHanding(say: Say, relays: Relays): Handing {
  const waiting: Offered[] = [];
  /** What is on its way. A connection for TLS is open here, too, until it has come. */
  let sending: Offered | Relayed | null = null;
  let open = 0;
  const sendNext = (): void => {
    while (!sending) {
      const next = waiting.shift();
      if (!next) return;
      if (next.socket.destroyed) {
        open--;
        continue;
      }
      sending = next;
      // Node would have the server count it among those that other processes have, and then close without waiting for its own.
      Object.assign(next.socket, { server: null });
      say({ kind: 'connection', hello: helloOf(next.socket) }, next.socket);
    }
  };
  const arrived = (): void => {
    sending = null;
    sendNext();
  };
  return {
    get open() {
      return open;
    },
    get isFree() {
      return sending === null;
    },
    offer(offered) {
      open++;
      waiting.push(offered);
      sendNext();
    },
    relay(relayed) {
      const own: Relayed = {
        ...relayed,
        over(end) {
          // It could not be sent.
          if (sending === own) arrived();
          relayed.over(end);
        },
      };
      const drop = relays.begin(own);
      if (drop) sending = own;
      return drop;
    },
    taken() {
      if (isOffered(sending)) {
        // Both processes read from it until it is closed here: answered before, a client's next bytes could be lost.
        sending.socket.destroy();
        say({ kind: 'go' });
      }
      arrived();
    },
    closed(count) {
      open -= count;
    },
    reset() {
      const left = [...(isOffered(sending) ? [sending] : []), ...waiting.splice(0)];
      sending = null;
      open = 0;
      return left;
    },
  };
}

const isOffered = (sent: Offered | Relayed | null): sent is Offered => sent !== null && 'here' in sent;

/** What a client has said. It stays with the connection, should another one have to take it. */
function helloOf(socket: Socket): string {
  const hello = (socket.read() as Buffer | null) ?? Buffer.alloc(0);
  if (hello.byteLength > 0) socket.unshift(hello);
  return hello.toString('base64');
}
