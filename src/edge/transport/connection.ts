import { connect, Socket } from 'node:net';
import type { TcpNetConnectOpts } from 'node:net';
import { Readable } from 'node:stream';
import type { Clock } from '#kernel/clock';
import { createAnswerParser } from './answer.ts';
import type { AnswerParser } from './answer.ts';
import type { AnswerHead, BodyFraming } from './answer-head.ts';
import { certificateAt } from './place.ts';
import type { Place } from './place.ts';
import { isChunked, requestHead } from './request-head.ts';
import type { RequestFacts } from './request-head.ts';
import { atTurnsEnd } from './turn.ts';
import { Unreached } from './unreached.ts';
import { upload } from './upload.ts';

/** One request on a connection, and who hears of its answer. After `done` or `failed` nothing more is heard. */
export interface Call extends RequestFacts {
  head(head: AnswerHead): void;
  /** False: nothing more comes before `go`. The bytes are only there during the call. */
  data(bytes: Buffer, from: number, to: number): boolean;
  done(): void;
  /** `untouched`: not one byte of an answer came. */
  failed(error: unknown, untouched: boolean): void;
}

/** A connection whose answer somebody else reads on. */
export interface Lent {
  readonly socket: Socket;
  /** How its body goes on. */
  readonly framing: BodyFraming;
}

/** A connection that carries one request after the other. */
export interface Connection {
  /** How many requests it has carried before. */
  readonly carried: number;
  /** Milliseconds for which the server keeps it unused, where it said so. */
  readonly keptMs: number | null;
  /** Throws BAD_REQUEST before anything is sent. */
  send(call: Call): void;
  go(): void;
  /** Reads no more of the answer, since somebody else does; null where it cannot be left just now. */
  lend(): Lent | null;
  /** The lent answer was read to its end. `keeps`: nothing came behind it. */
  lentBack(keeps: boolean): void;
  /** Closes it at once. Whoever uses it fails with the reason, or hears nothing where there is none. */
  destroy(why?: Error): void;
}

export interface ConnectionOptions {
  readonly place: Place;
  readonly clock: Clock;
  readonly connectMs: number;
  /** A connection may be used again, or (`false`) is gone. Comes after the call's own end. */
  readonly free: (connection: Connection, usable: boolean) => void;
}

/**
 * What all connections read into: they are read one at a time, and what is to be kept is copied. A buffer for each of a
 * thousand streams would be most of what they weigh.
 */
const shared = Buffer.allocUnsafeSlow(65_536);

/** A request with a body up to this goes out in one piece with its head. */
const inOnePiece = 16_384;

/** The request that a connection carries now. */
interface Held {
  readonly call: Call;
  /** All of it was written. */
  sent: boolean;
  /** Stops the sending of its body. */
  stop: (() => void) | null;
  /** Set once its answer is whole: whether the connection may be used again. */
  keeps: boolean | null;
}

export function openConnection({ place, free, ...limit }: ConnectionOptions): Connection {
  let held: Held | null = null;
  let gone = false;
  const parser: AnswerParser = createAnswerParser({
    head(head) {
      // It refused before it had read everything: the rest is of no use to it.
      if (head.status >= 400) held?.stop?.();
      held?.call.head(head);
    },
    data: (bytes, from, to) => held?.call.data(bytes, from, to) ?? true,
    end(keeps, keptMs) {
      if (held) held.keeps = keeps && held.sent;
      if (keptMs !== null) connection.keptMs = keptMs;
    },
  });
  const letGo = (): Held | null => {
    const before = held;
    before?.stop?.();
    held = null;
    return before;
  };
  const lose = (): Held | null => {
    const before = letGo();
    if (gone) return before;
    gone = true;
    socket.destroy();
    free(connection, false);
    return before;
  };
  const fail = (error: unknown): void => lose()?.call.failed(error, parser.isFresh);
  /** Runs the parser, and lets go of the request that it brought to its end. Not from within: bytes may follow that nobody asked for. */
  const read = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      if (!held) return void lose();
      if (held.keeps === null) return fail(error);
      held.keeps = false;
    }
    if (held && held.keeps !== null) release(held);
  };
  const readOn = (act: () => void): void => {
    read(act);
    if (!gone && !parser.isStopped) socket.resume();
  };
  const release = ({ call, keeps }: Held): void => {
    letGo();
    connection.carried++;
    if (keeps) free(connection, true);
    else lose();
    call.done();
  };
  const socket = dial(place, limit, {
    bytes(bytes) {
      read(() => parser.take(bytes));
      return gone || !parser.isStopped;
    },
    ended() {
      read(() => parser.close());
      lose();
    },
    failed: fail,
  });

  const connection = {
    carried: 0,
    keptMs: null as number | null,
    send(call: Call) {
      const head = requestHead(call, place.authority);
      const mine: Held = { call, sent: false, stop: null, keeps: null };
      held = mine;
      parser.expect(call.method);
      if (call.body instanceof Readable) return transmit(socket, head, call.body, mine, fail);
      // Until then it may be called off, or answered unheard: the connection is gone then.
      atTurnsEnd(() => void (held === mine && write(socket, head, mine)));
    },
    go: () => readOn(() => parser.go()),
    lend: () => (gone ? null : lentFrom(socket, parser, held)),
    lentBack: (keeps: boolean) => readOn(() => parser.skip(keeps)),
    destroy: (why?: Error) => void (why ? fail(why) : lose()),
  };
  return connection;
}

function lentFrom(socket: Socket, parser: AnswerParser, held: Held | null): Lent | null {
  // TLS has a state of its own, in this process; and what is still being sent may be answered before it is whole.
  const isPlain = Object.getPrototypeOf(socket) === Socket.prototype;
  const framing = isPlain && held?.sent === true ? parser.rest() : null;
  if (framing === null) return null;
  socket.pause();
  return { socket, framing };
}

function transmit(socket: Socket, head: string, body: Readable, held: Held, failed: (error: unknown) => void): void {
  socket.write(head, 'latin1');
  held.stop = upload(body, socket, isChunked(held.call.headers), { sent: () => void (held.sent = true), failed });
}

function write(socket: Socket, head: string, held: Held): void {
  const { body } = held.call;
  held.sent = true;
  if (!Buffer.isBuffer(body)) return void socket.write(head, 'latin1');
  if (body.byteLength > inOnePiece) {
    socket.cork();
    socket.write(head, 'latin1');
    socket.write(body);
    socket.uncork();
    return;
  }
  const whole = Buffer.allocUnsafe(head.length + body.byteLength);
  whole.write(head, 'latin1');
  body.copy(whole, head.length);
  socket.write(whole);
}

interface Heard {
  /** False: nothing more is read for now. */
  bytes(bytes: Buffer): boolean;
  /** The other side sends nothing more. */
  ended(): void;
  failed(error: unknown): void;
}

function dial(place: Place, limit: { readonly clock: Clock; readonly connectMs: number }, heard: Heard): Socket {
  const socket = open(place, (length) => heard.bytes(shared.subarray(0, length)));
  let isThere = false;
  const failed = (error: Error) => heard.failed(isThere ? error : new Unreached(error));
  const late = () => failed(new Error(`${place.authority} took no connection within ${limit.connectMs / 1000} s`));
  const cancel = limit.clock.after(limit.connectMs, late);
  socket.once(place.secure ? 'secureConnect' : 'connect', () => {
    isThere = true;
    cancel();
  });
  socket.on('end', () => heard.ended());
  socket.on('error', failed);
  socket.on('close', () => {
    cancel();
    failed(new Error('the connection was closed'));
  });
  return socket;
}

function open({ host, port, secure, tls }: Place, callback: (length: number) => boolean): Socket {
  const options: TcpNetConnectOpts = { host, port, noDelay: true, onread: { buffer: shared, callback } };
  if (!secure) return connect(options);
  // Only for what runs elsewhere: most platforms never need it.
  return process
    .getBuiltinModule('node:tls')
    .connect({ ...options, ...certificateAt(host, tls), ALPNProtocols: ['http/1.1'] });
}
