import type { Socket } from 'node:net';
import type { Clock } from '#kernel/clock';
import { systemCode } from '#kernel/faults';

/** Milliseconds that a client may go on sending what was refused: closed at once, the answer would be lost on its way to it. */
export const lingerMs = 5_000;

/** Statuses for what Node's parser refuses; everything else is a bad request. */
const statuses: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/** The status line's end for an error of the parser; null where nobody is there to be told. */
export function statusOf(error: Error & { readonly rawPacket?: Buffer }): string | null {
  const code = systemCode(error);
  if (code === 'ECONNRESET') return null;
  // The parser does not tell which part was too long: the first line, which has no end here, is the address.
  const inAddress =
    code === 'HPE_HEADER_OVERFLOW' && /^[A-Z]+ \/[^\s]*$/.test(error.rawPacket?.toString('latin1') ?? '');
  return inAddress ? '414 URI Too Long' : (statuses[code ?? ''] ?? '400 Bad Request');
}

/** Sockets that were told: the parser complains anew of everything that still comes. */
const told = new WeakSet<Socket>();

export function refuseBytes(status: string | null, socket: Socket, clock: Clock): void {
  if (told.has(socket)) return;
  // In the middle of an answer, or after one, a status line would be taken for a part of it.
  if (!socket.writable || status === null || socket.bytesWritten > 0) return void socket.destroy();
  told.add(socket);
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
  const cancel = clock.after(lingerMs, () => socket.destroy());
  socket.once('end', () => socket.destroy()).once('close', cancel);
}
