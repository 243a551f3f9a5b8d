import type { Socket } from 'node:net';
import { chunkOf } from '../frames.ts';
import { createUsageStream } from '../limits/usage-stream.ts';
import { bodyOf } from '../transport/body.ts';
import type { Emit } from '../transport/body.ts';
import { Malformed } from '../transport/fields.ts';
import { atTurnsEnd } from '../transport/turn.ts';
import type { Passed, RelayEnd, RelayFacts } from './messages.ts';

export interface RelayOptions extends Omit<RelayFacts, 'id'> {
  readonly upstream: Socket;
  /** Is only written to: the platform goes on reading from it. */
  readonly client: Socket;
  /** All that was passed on has left by then, unless the end is a cut one. */
  readonly over: (end: RelayEnd) => void;
}

/** The rest of an answer, on its way from one socket to the other. */
export interface Relay {
  /** What was passed on since this was asked last; null where that is nothing. */
  passed(): Passed | null;
  /** Ends it at once, where it has not ended yet. */
  drop(): void;
}

/**
 * Passes the rest of an answer on as it comes, no faster than the client takes it. The end of the body is not told to the
 * client: that is the platform's to say, and so no answer ever ends well by a mistake made here.
 */
export function createRelay({ upstream, client, framing, isFramed, shown, over }: RelayOptions): Relay {
  const body = bodyOf(framing);
  let since = nothing();
  const usage =
    shown && createUsageStream({ shown, onUsage: (n) => (since.reported = n), onEvent: () => since.events++ });
  /** Nothing more is read. */
  let isRead = false;
  let isClosed = false;
  let isCorked = false;
  const uncork = () => {
    isCorked = false;
    client.uncork();
  };
  const send = (bytes: Buffer): void => {
    if (bytes.byteLength === 0) return;
    if (!isCorked) {
      isCorked = true;
      client.cork();
      atTurnsEnd(uncork);
    }
    const out = isFramed ? chunkOf([bytes]) : bytes;
    since.bytes += out.byteLength;
    since.isHeld = !client.write(out);
    if (since.isHeld) upstream.pause();
  };
  const close = (end: RelayEnd): void => {
    if (isClosed) return;
    isRead = isClosed = true;
    upstream.destroy();
    client.destroy();
    over(end);
  };
  const cut = (how: 'left' | 'dropped') => close({ how, isCut: client.writableLength > 0 });
  /** What was passed on may still be on its way out: it is over when that has left. */
  const finish = (end: RelayEnd): void => {
    if (isRead) return;
    isRead = true;
    upstream.destroy();
    if (usage) send(usage.end());
    client.write('', (error) => (error ? cut('left') : close(end)));
  };
  const pass: Emit = (bytes, from, to) => {
    const piece = bytes.subarray(from, to);
    send(usage ? usage.push(piece) : piece);
    return true;
  };
  const take = (bytes: Buffer): void => {
    if (isRead) return;
    since.isHeard = true;
    const at = body.take(bytes, 0, pass);
    if (body.isOver) finish({ how: 'whole', keeps: at === bytes.length });
  };
  upstream.on('data', (bytes: Buffer) => {
    try {
      take(bytes);
    } catch (error) {
      finish(failure(error));
    }
  });
  upstream.on('end', () => {
    if (body.endsWithConnection) finish({ how: 'whole', keeps: false });
    else finish(failure(new Error('the connection ended before the answer did')));
  });
  upstream.on('error', (error) => finish(failure(error)));
  client.on('drain', () => {
    since.isHeard = true;
    since.isHeld = false;
    if (!isRead) upstream.resume();
  });
  client.on('error', () => cut('left'));
  return {
    passed() {
      if (!since.isHeard) return null;
      const { isHeard: _, ...passed } = since;
      since = { ...nothing(), isHeld: since.isHeld };
      return passed;
    },
    drop: () => cut('dropped'),
  };
}

const nothing = (): Passed & { isHeard: boolean } => ({
  bytes: 0,
  events: 0,
  reported: null,
  isHeld: false,
  isHeard: false,
});

const failure = (error: unknown): RelayEnd => ({
  how: 'failed',
  why: error instanceof Error ? error.message : String(error),
  isMalformed: error instanceof Malformed,
});
