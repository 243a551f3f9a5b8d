import type { SendHandle } from 'node:child_process';
import { Socket } from 'node:net';
import type { SocketConstructorOpts } from 'node:net';

/*
 * A connection that two processes have at once: one reads from it, the other one writes. A `Socket` that is sent is read from where it
 * comes to, by its very making, and its server counts it as gone. So what it stands on is sent, which Node does for its own
 * cluster, and nothing happens to it on the way.
 */

interface Handled {
  readonly _handle: SendHandle | null;
}

/** What a plain socket stands on, to be sent; null once it is closed, and for TLS, whose state is only here. */
export const handleOf = (socket: Socket): SendHandle | null =>
  Object.getPrototypeOf(socket) === Socket.prototype ? (socket as unknown as Handled)._handle : null;

/** A socket on what was sent: for reading or for writing. Closing it leaves it open in the other process. */
export function socketOn(handle: unknown, use: 'reading' | 'writing'): Socket {
  const own = handle as NonNullable<SocketConstructorOpts['handle']>;
  return new Socket({ handle: own, readable: use === 'reading', writable: use === 'writing', allowHalfOpen: true });
}
