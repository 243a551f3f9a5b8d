import { once } from 'node:events';
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2';
import type { Duplex, Writable } from 'node:stream';
import * as ws from 'ws';

/** They are there, and the package's types leave them out. */
const { Receiver, Sender } = ws as unknown as {
  Receiver: new (options: { readonly isServer: boolean }) => Writable;
  Sender: new (socket: Duplex) => {
    send(data: string | Buffer, options: object): void;
    close(code: number, data: string, mask: boolean, done: () => void): void;
  };
};

/** The client's side of a WebSocket over HTTP/2 (RFC 8441), with the frames read and written by `ws`. */
export interface Http2WebSocket {
  readonly stream: ClientHttp2Stream;
  readonly answer: IncomingHttpHeaders & { ':status'?: number };
  /** What came so far: texts, bytes as their length, and `close CODE`. */
  readonly got: string[];
  send(data: string | Buffer): void;
  closeWith(code: number): void;
}

/** Asks for one; the answer may be a refusal. */
export async function openHttp2WebSocket(
  session: ClientHttp2Session,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Http2WebSocket> {
  // Before its settings came, a client must not ask for this.
  if (!session.remoteSettings?.enableConnectProtocol) await once(session, 'remoteSettings');
  const handshake = { ':method': 'CONNECT', ':protocol': 'websocket', ':path': path, 'sec-websocket-version': '13' };
  const stream = session.request({ ...handshake, ...headers }, { endStream: false });
  stream.on('error', () => undefined);
  const got: string[] = [];
  const receiver = new Receiver({ isServer: false });
  receiver.on('message', (data: Buffer, isBinary: boolean) => got.push(isBinary ? String(data.length) : String(data)));
  receiver.on('conclude', (code: number) => got.push(`close ${code}`));
  const [answer] = (await once(stream, 'response')) as [Http2WebSocket['answer']];
  if (answer[':status'] === 200) stream.pipe(receiver);
  const sender = new Sender(stream);
  return {
    ...{ stream, answer, got },
    send: (data) => sender.send(data, { binary: typeof data !== 'string', fin: true, mask: true, compress: false }),
    closeWith: (code) => sender.close(code, '', true, () => undefined),
  };
}
