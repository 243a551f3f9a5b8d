import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** The connections of a listener, by what they are used for. */
export interface Connections {
  /** Closes those on which no request is under way: Node's own notion of idle leaves out those that never had one. */
  closeUnused(): void;
  /** Closes those that became something else than HTTP. They never end by themselves. */
  closeUpgraded(): void;
  /** Forgets one that others look after: it speaks HTTP/2, or it is only what TLS runs over. */
  forget(socket: Socket): void;
}

export function trackConnections(server: Server): Connections {
  const requests = new Map<Socket, number>();
  const upgraded = new Set<Duplex>();
  const add = (socket: Socket, by: number) => {
    const before = requests.get(socket);
    if (before !== undefined) requests.set(socket, before + by);
  };
  // Before whoever hands it over to another protocol, and has it forgotten.
  server.prependListener('connection', (socket: Socket) => {
    requests.set(socket, 0);
    socket.once('close', () => requests.delete(socket));
  });
  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    const { socket } = req;
    add(socket, 1);
    res.once('close', () => add(socket, -1));
  });
  // Of HTTP/2 it is one stream of many on a connection.
  server.on('upgrade', ({ socket: own }: IncomingMessage, socket: Duplex) => {
    requests.delete(own);
    upgraded.add(socket);
    socket.once('close', () => upgraded.delete(socket));
  });
  return {
    forget: (socket) => void requests.delete(socket),
    closeUnused() {
      for (const [socket, busy] of requests) if (busy === 0) socket.destroy();
    },
    closeUpgraded() {
      for (const socket of upgraded) socket.destroy();
    },
  };
}
