import { timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:net';
import type { Server, Socket } from 'node:net';
import { isRecord } from '#kernel/json';

/** What the platform has to know of a client whose TLS somebody else speaks. */
export interface ClientFacts {
  readonly remoteAddress: string | undefined;
  readonly remotePort: number | undefined;
  /** The address of this machine that the client came to. */
  readonly localAddress: string | undefined;
  readonly localPort: number | undefined;
  /** What was agreed on: `h2`, `http/1.1`, or nothing. */
  readonly alpnProtocol: string | false | null;
}

export const tokenBytes = 32;
/** Behind the token, the length of the facts. */
const prefixBytes = tokenBytes + 2;
/** Facts are some 150 bytes. */
const mostFacts = 1_024;

/** How a hop begins: who brings it, and whose connection it is. The client's own bytes come right behind. */
export function introduction(token: Buffer, facts: ClientFacts): Buffer {
  const text = Buffer.from(JSON.stringify(facts));
  const length = Buffer.allocUnsafe(2);
  length.writeUInt16BE(text.byteLength);
  return Buffer.concat([token, length, text]);
}

/** Null while some of it is still to come, `false` where it is none. `rest` is the client's. */
export function introduced(
  bytes: Buffer,
  token: Buffer,
): { readonly facts: ClientFacts; readonly rest: Buffer } | null | false {
  if (bytes.byteLength < prefixBytes) return null;
  if (!timingSafeEqual(bytes.subarray(0, tokenBytes), token)) return false;
  const end = prefixBytes + bytes.readUInt16BE(tokenBytes);
  if (end > prefixBytes + mostFacts) return false;
  if (bytes.byteLength < end) return null;
  const facts = parsed(bytes.toString('utf8', prefixBytes, end));
  return facts && { facts, rest: bytes.subarray(end) };
}

function parsed(text: string): ClientFacts | false {
  try {
    const value: unknown = JSON.parse(text);
    // Only workers of this very program have the token.
    return isRecord(value) && (value as unknown as ClientFacts);
  } catch {
    return false;
  }
}

/**
 * The listener to which workers bring what clients say, in the clear. `take` gets each as the connection of HTTP that it is,
 * with the client's own addresses; whoever has no token gets nothing.
 */
export function createHopListener(token: Buffer, take: (socket: Socket) => void): Server {
  return createServer((socket) => {
    let seen: Buffer = Buffer.alloc(0);
    socket.on('error', () => undefined);
    const onData = (chunk: Buffer) => {
      seen = seen.byteLength === 0 ? chunk : Buffer.concat([seen, chunk]);
      const found = introduced(seen, token);
      if (found === null) return;
      socket.off('data', onData);
      if (found === false) return void socket.destroy();
      socket.pause();
      if (found.rest.byteLength > 0) socket.unshift(found.rest);
      take(asSecured(socket, found.facts));
      // A session of HTTP/2 reads by itself.
      if (found.facts.alpnProtocol !== 'h2') socket.resume();
    };
    socket.on('data', onData);
  });
}

/** Whoever looks at the connection sees the client's, over TLS. */
function asSecured(socket: Socket, facts: ClientFacts): Socket {
  for (const [name, value] of Object.entries({ ...facts, encrypted: true }))
    Object.defineProperty(socket, name, { value });
  return socket;
}
