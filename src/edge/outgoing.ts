import type { ServerResponse } from 'node:http';
import type { Exchange } from './exchange.ts';
import { chunkOf, lastChunk } from './frames.ts';
import { atTurnsEnd } from './transport/turn.ts';

/** An answer on its way to the client: what comes within a turn of the event loop leaves at its end (`turn.ts`). */
export interface Outgoing {
  /** The head is written, and leaves with the first bytes of the body, or at the end of this turn. */
  begin(): void;
  /** False: the client is behind, and `resume` is called once it has caught up. */
  write(chunk: Buffer, resume: () => void): boolean;
  /** The answer is whole, with these bytes or without any more. */
  end(last?: Buffer): void;
  /** What is held leaves now. */
  letGo(): void;
}

/** Of an answer whose head is written. */
export const outgoingOf = (exchange: Exchange): Outgoing => (exchange.framed ? framed(exchange) : plain(exchange));

/** Bytes that are written as text, in one piece with the head. */
const mostAsText = 16_384;

/**
 * Ends an answer with its body. As text of one byte a character, a small one is put behind its head by Node, which makes two
 * pieces of bytes: a tenth of what a request costs (docs/performance.md).
 */
export function endWith(res: ServerResponse, body: Buffer): void {
  if (body.byteLength <= mostAsText) res.end(body.toString('latin1'), 'latin1');
  else res.end(body);
}

/** Framed by Node, or by HTTP/2. */
function plain({ res, req: { socket, httpVersionMajor } }: Exchange): Outgoing {
  let holds = false;
  const letGo = () => {
    if (holds) socket.uncork();
    holds = false;
  };
  const hold = () => {
    // The connection of HTTP/2 is that of many, and gathers by itself.
    if (holds || httpVersionMajor !== 1) return;
    holds = true;
    socket.cork();
    atTurnsEnd(letGo);
  };
  return {
    begin: () => process.nextTick(flush),
    write(chunk, resume) {
      hold();
      const goesOn = res.write(chunk);
      if (!goesOn) res.once('drain', resume);
      return goesOn;
    },
    end(last) {
      if (res.writableEnded) return;
      if (!last) return void res.end();
      hold();
      endWith(res, last);
    },
    letGo,
  };
  function flush(): void {
    if (!res.writableEnded && !res.destroyed && res.writableLength === 0) res.flushHeaders();
  }
}

/**
 * Framed here. But for its beginning and its end it goes past Node's answer, straight to the connection: what that does for
 * each write, an event pays for.
 */
function framed({ res, req: { socket } }: Exchange): Outgoing {
  let held: Buffer[] = [];
  let isDue = false;
  let hasBegun = false;
  let isBehind = false;
  const letGo = () => {
    isDue = false;
    if (res.destroyed || res.writableEnded) return;
    if (held.length > 0) send(chunkOf(held));
    else if (!hasBegun) res.flushHeaders();
    hasBegun = true;
    held = [];
  };
  const send = (bytes: Buffer) => {
    // An answer that waits for the one before it has no connection yet.
    isBehind = !(hasBegun && res.socket !== null ? socket.write(bytes) : first(bytes));
    if (isBehind) socket.once('drain', () => (isBehind = false));
  };
  /** Corked by us, since Node would cork it for longer, and it would be lost where the answer is broken off at once. */
  const first = (bytes: Buffer): boolean => {
    socket.cork();
    const goesOn = res.write(bytes);
    socket.uncork();
    return goesOn;
  };
  const begin = () => {
    if (!isDue) atTurnsEnd(letGo);
    isDue = true;
  };
  return {
    begin,
    write(chunk, resume) {
      begin();
      held.push(chunk);
      if (isBehind) socket.once('drain', resume);
      return !isBehind;
    },
    end() {
      if (!res.writableEnded) res.end(held.length > 0 ? chunkOf(held, lastChunk) : lastChunk);
      held = [];
    },
    letGo,
  };
}
