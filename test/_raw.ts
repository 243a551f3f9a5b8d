import { once } from 'node:events';
import { connect } from 'node:net';

export interface Conversation {
  /** All that came back, as Latin-1. */
  readonly text: string;
  /** The statuses of the answers, those of `1xx` among them, as a client reads them one after the other. */
  readonly statuses: readonly number[];
  /** The bodies of the answers, without those of `1xx`. */
  readonly bodies: readonly string[];
  /** Whether the answers were whole and nothing else stood between or after them. */
  readonly whole: boolean;
}

/** Bytes to send, or what must have come back before the next are sent. */
export type Piece = string | { readonly until: string };

/** Sends bytes as they are and reads until the other side closes, or is silent for so many milliseconds. */
export async function converse(
  port: number,
  pieces: readonly Piece[],
  options: { readonly end?: boolean; readonly silentMs?: number; readonly heads?: readonly boolean[] } = {},
): Promise<Conversation> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  const chunks: Buffer[] = [];
  const said = () => Buffer.concat(chunks).toString('latin1');
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.on('error', () => undefined);
  socket.setTimeout(options.silentMs ?? 1_000, () => socket.destroy());
  socket.on('end', () => socket.destroy());
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await once(socket, 'connect');
  for (const piece of pieces) {
    if (socket.destroyed) break;
    if (typeof piece === 'string') socket.write(Buffer.from(piece, 'latin1'));
    else while (!socket.destroyed && !said().includes(piece.until)) await tick();
    await tick();
  }
  if (options.end) socket.end();
  await closed;
  return read(said(), options.heads ?? []);
}

const tick = () => new Promise((resolve) => setImmediate(resolve));

/** Reads answers strictly: what cannot be an answer makes the conversation not whole. */
export function read(text: string, heads: readonly boolean[]): Conversation {
  const statuses: number[] = [];
  const bodies: string[] = [];
  let rest = text;
  let answers = 0;
  while (rest !== '') {
    const match = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n((?:[!#$%&'*+.^`|~\w-]+: ?[^\r\n]*\r\n)*)\r\n/.exec(rest);
    if (!match) return { text, statuses, bodies, whole: false };
    const status = Number(match[1]);
    statuses.push(status);
    rest = rest.slice(match[0].length);
    if (status < 200) continue;
    const without = status === 204 || status === 304 || heads[answers++] === true;
    const body = without ? { body: '', rest } : bodyOf(match[2] ?? '', rest);
    if (body === null) return { text, statuses, bodies, whole: false };
    bodies.push(body.body);
    rest = body.rest;
  }
  return { text, statuses, bodies, whole: true };
}

function bodyOf(headers: string, text: string): { readonly body: string; readonly rest: string } | null {
  const length = /^content-length: ?(\d+)\r$/im.exec(headers)?.[1];
  const bytes = Number(length);
  if (length !== undefined) return text.length < bytes ? null : { body: text.slice(0, bytes), rest: text.slice(bytes) };
  if (!/^transfer-encoding: ?chunked\r$/im.test(headers)) return { body: text, rest: '' };
  let [body, rest] = ['', text];
  for (;;) {
    const size = /^([0-9a-f]+)\r\n/i.exec(rest);
    if (!size) return null;
    const count = parseInt(size[1] ?? '', 16);
    const after = rest.slice(size[0].length + count);
    if (!after.startsWith('\r\n')) return null;
    body += rest.slice(size[0].length, size[0].length + count);
    rest = after.slice(2);
    if (count === 0) return { body, rest };
  }
}
