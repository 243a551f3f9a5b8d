import type { AnswerHead, BodyFraming, ReadHead } from './answer-head.ts';
import { bodyOf } from './body.ts';
import type { Body, Emit } from './body.ts';
import { Malformed } from './fields.ts';
import { createHeadReader } from './head-reader.ts';

/** Who hears of an answer as it is read. */
export interface Reader {
  head(head: AnswerHead): void;
  /** False: nothing more is read before `go` is called. The bytes are only there during the call. */
  data(bytes: Buffer, from: number, to: number): boolean;
  /** It is whole. `keeps`: the connection may be used again, for `keptMs` milliseconds if the server says so. */
  end(keeps: boolean, keptMs: number | null): void;
}

/** Reads one answer after the other from the bytes of a connection, strictly: what is not clear is refused. */
export interface AnswerParser {
  /** The next answer is to a request of this method. */
  expect(method: string): void;
  /** Throws Malformed. The bytes may be overwritten afterwards. */
  take(bytes: Buffer): void;
  /** The reader takes more. */
  go(): void;
  /** How the rest of the body goes on, for somebody else who reads it; null while some of it waits here, or where there is none. */
  rest(): BodyFraming | null;
  /** Somebody else has read it to its end. `keeps`: nothing came behind it. */
  skip(keeps: boolean): void;
  /** The connection has ended. Throws when that cuts an answer off. */
  close(): void;
  /** The reader takes no more for now. */
  readonly isStopped: boolean;
  /** Whether it waits for the first byte of an answer. */
  readonly isFresh: boolean;
}

export function createAnswerParser(reader: Reader): AnswerParser {
  const heads = createHeadReader();
  let isFresh = true;
  /** Whether an answer is still to come, or to be read to its end. */
  let isAsked = false;
  let body: Body | null = null;
  /** What the reader does not take yet. */
  let held: Buffer | null = null;
  let isStopped = false;
  let isClosed = false;

  const emit: Emit = (bytes, from, to) => {
    if (!reader.data(bytes, from, to)) isStopped = true;
    return !isStopped;
  };
  const finish = ({ keeps, keptMs }: ReadHead): void => {
    isAsked = false;
    body = null;
    reader.end(keeps, keptMs);
  };
  const begin = (head: ReadHead): void => {
    body = bodyOf(head.framing);
    reader.head(head);
    if (body === null) finish(head);
  };
  const takeHead = (bytes: Buffer, at: number): number => {
    const next = heads.take(bytes, at);
    if (heads.found) begin(heads.found);
    return next;
  };
  /** What the reader does not take yet is not over before it has. */
  const finishIfOver = (): void => {
    if (!body || isStopped || !heads.found) return;
    if (body.isOver || (isClosed && body.endsWithConnection)) finish(heads.found);
  };
  const run = (bytes: Buffer): void => {
    let at = 0;
    while (at < bytes.length && !isStopped) {
      // Whoever answers unasked, or more than was asked, would answer the next request with it.
      if (!isAsked) throw new Malformed('it says more than it was asked');
      at = body ? body.take(bytes, at, emit) : takeHead(bytes, at);
      finishIfOver();
    }
    if (at < bytes.length) held = Buffer.from(bytes.subarray(at));
  };
  const goOn = (): void => {
    const rest = held;
    held = null;
    finishIfOver();
    if (rest) run(rest);
    finishIfOver();
    if (isClosed && isAsked && !isStopped) throw new Error('the connection ended before the answer did');
  };

  return {
    expect(method) {
      heads.expect(method);
      isFresh = true;
      isAsked = true;
    },
    take(bytes) {
      isFresh = false;
      run(bytes);
    },
    go() {
      isStopped = false;
      goOn();
    },
    rest: () => (held || isClosed ? null : (body?.rest() ?? null)),
    skip(keeps) {
      isStopped = false;
      if (isAsked && heads.found) finish({ ...heads.found, keeps: heads.found.keeps && keeps });
    },
    close() {
      isClosed = true;
      if (!isStopped) goOn();
    },
    get isStopped() {
      return isStopped;
    },
    get isFresh() {
      return isFresh;
    },
  };
}
