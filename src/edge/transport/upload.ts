import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';

export interface Uploading {
  /** All of it was written. */
  sent(): void;
  failed(error: unknown): void;
}

/**
 * Sends a body on as it comes, no faster than the other side takes it. Returns what stops it: the rest stays with whoever
 * reads the body next.
 */
export function upload(body: Readable, socket: Socket, inChunks: boolean, { sent, failed }: Uploading): () => void {
  const onDrain = () => void body.resume();
  const onData = (bytes: Buffer) => {
    if (!send(socket, bytes, inChunks)) body.pause();
  };
  const onEnd = () => {
    stop();
    if (inChunks) socket.write('0\r\n\r\n', 'latin1');
    sent();
  };
  const stop = () => {
    body.off('data', onData).off('end', onEnd).off('error', failed);
    socket.off('drain', onDrain);
  };
  body.on('data', onData).on('end', onEnd).on('error', failed);
  socket.on('drain', onDrain);
  // What was paused by whoever had it before.
  body.resume();
  return () => {
    stop();
    body.pause();
  };
}

function send(socket: Socket, bytes: Buffer, inChunks: boolean): boolean {
  if (!inChunks) return socket.write(bytes);
  socket.cork();
  socket.write(`${bytes.byteLength.toString(16)}\r\n`, 'latin1');
  socket.write(bytes);
  const more = socket.write('\r\n', 'latin1');
  socket.uncork();
  return more;
}
