import { rmSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { dirname } from 'node:path';
import { createServer } from 'node:tls';
import type { Server, TLSSocket } from 'node:tls';
import { introduction } from './hop.ts';
import type { FromWorker, ToWorker } from './messages.ts';
import { createRelayDesk } from './relay-desk.ts';

/**
 * A process that speaks TLS with clients and brings what they say to the platform, each connection over one of its own; and
 * that passes on the rest of long answers. It decides nothing, and ends with the platform.
 */

/** Milliseconds in which a client has to take what it is told last. */
const lingerMs = 30_000;

let begun: { readonly path: string; readonly token: Buffer; readonly ticketKeys: Buffer; readonly handshakeMs: number };
let tls: Server | undefined;
let closed = 0;
/** Begins with the connection that came last. */
let go = (): void => undefined;

const tell = (message: FromWorker): void => {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
};

/** Many close at once: they are told of in one message. */
function noteClosed(): void {
  if (closed++ > 0) return;
  setImmediate(() => {
    tell({ kind: 'closed', count: closed });
    closed = 0;
  });
}

function secure(pair: { readonly cert: string; readonly key: string }): void {
  if (tls) return tls.setSecureContext(pair);
  const { ticketKeys, handshakeMs } = begun;
  tls = createServer({ ...pair, ticketKeys, handshakeTimeout: handshakeMs, ALPNProtocols: ['h2', 'http/1.1'] });
  tls.on('secureConnection', bring);
  tls.on('tlsClientError', (_, socket) => socket.destroy());
}

/** As it comes, both ways; a side that is slow slows the other one. */
function bring(client: TLSSocket): void {
  const { remoteAddress, remotePort, localAddress, localPort, alpnProtocol } = client;
  const hop = connect(begun.path);
  hop.write(introduction(begun.token, { remoteAddress, remotePort, localAddress, localPort, alpnProtocol }));
  client.on('error', () => undefined);
  hop.on('error', () => client.destroy());
  client.on('close', () => hop.destroy());
  // What it said last is still to be sent, to a client that takes it.
  hop.on('close', () => {
    client.destroySoon();
    setTimeout(() => client.destroy(), lingerMs).unref();
  });
  client.pipe(hop);
  hop.pipe(client);
}

function take(hello: Buffer, socket: Socket | undefined): void {
  go = () => undefined;
  tell({ kind: 'taken' });
  // It may have been closed on the way.
  if (!socket) return noteClosed();
  socket.on('close', noteClosed);
  socket.on('error', () => undefined);
  go = () => {
    socket.unshift(hello);
    tls?.emit('connection', socket);
  };
}

const relays = createRelayDesk(tell);

process.on('message', (message: ToWorker, handle: unknown) => {
  const bytes = (text: string) => Buffer.from(text, 'base64');
  if (message.kind === 'connection') return take(bytes(message.hello), handle as Socket | undefined);
  if (message.kind === 'go') return go();
  if (message.kind === 'secure') return secure(message);
  if (message.kind === 'client') return relays.client(message.id, handle);
  if (message.kind === 'relay') return relays.relay(message, handle);
  if (message.kind === 'drop') return relays.drop(message.id);
  begun = { ...message, token: bytes(message.token), ticketKeys: bytes(message.ticketKeys) };
  tell({ kind: 'ready' });
});
// Signals to the whole group are the platform's to answer: it lets what is under way come to its end.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => undefined);
process.on('disconnect', () => {
  // A platform that was killed left its socket behind.
  rmSync(dirname(begun.path), { recursive: true, force: true });
  process.exit();
});
