import type { Socket } from 'node:net';
import type { Clock } from '#kernel/clock';

/** Type, version and length of a record of TLS (RFC 8446, section 5.1). */
const recordHead = 5;
const mostInRecord = 16_384;

/**
 * Whether the first record of TLS is whole. Longer than a record may be is whole, too: there is nothing more to wait for, and
 * TLS itself refuses it.
 */
export function isWholeHello(bytes: Buffer): boolean {
  if (bytes.byteLength < recordHead) return false;
  const length = bytes.readUInt16BE(3);
  return length > mostInRecord || bytes.byteLength >= recordHead + length;
}

/**
 * Waits until a client has said its whole hello, and puts that back. From then on a client of TLS says nothing until it is
 * answered, so that no byte can be under way while its connection moves to another process. One that takes too long is closed.
 */
export function afterHello(socket: Socket, clock: Clock, ms: number, then: () => void): void {
  let seen = (socket.read() as Buffer | null) ?? Buffer.alloc(0);
  const whole = () => {
    if (seen.byteLength > 0) socket.unshift(seen);
    then();
  };
  if (isWholeHello(seen)) return whole();
  const onData = (chunk: Buffer) => {
    seen = Buffer.concat([seen, chunk]);
    if (!isWholeHello(seen)) return;
    settle();
    socket.pause();
    whole();
  };
  const end = () => socket.destroy();
  const cancel = clock.after(ms, end);
  const settle = () => {
    cancel();
    socket.off('data', onData).off('end', end).off('close', settle);
  };
  socket.on('data', onData).on('end', end).on('close', settle);
  socket.resume();
}
