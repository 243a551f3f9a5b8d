import { Fault } from '#kernel/faults';
import type { Attempt } from './attempts.ts';
import type { Exchange } from './exchange.ts';
import { writtenElsewhere } from './limits/admission.ts';
import { Malformed } from './transport/fields.ts';
import { atTurnsEnd } from './transport/turn.ts';
import type { Rest } from './transport/upstreams.ts';
import { handleOf } from './workers/handles.ts';
import type { Drop, Relayed } from './workers/relays.ts';
import type { RelayPlaces } from './workers/workers.ts';

/** Pieces that have come of an answer before a worker passes on the rest: handing it over costs about five of them. */
const mostPieces = 16;
/** Bytes that must be left where their number is known. */
const fewestBytes = 2 ** 20;
/** Milliseconds: what is passed on elsewhere is told of in steps, which a shorter silence would be mistaken by. */
const shortestIdleMs = 2_000;

/** An answer whose rest a worker may pass on. */
export interface Lending {
  /** A piece went to the client from here. */
  passed(): void;
  /** The client, which was behind, has taken all of it. True where nothing more is to be passed on from here. */
  drained(): boolean;
  /** Until all is known of what went on elsewhere; null where nothing did. */
  readonly over: Promise<void> | null;
}

interface Lendable {
  readonly exchange: Exchange;
  readonly attempt: Attempt;
  readonly rest: Rest;
  readonly places: RelayPlaces;
  /** Bytes that are still to come; NaN where nobody says. */
  readonly left: () => number;
}

/**
 * Hands a long answer to a worker once so much of it has come that as much again is likely. This process decides and the worker
 * passes on: the lease, the limits and the end of the answer stay here, and so does reading from the client, whose leaving
 * is heard here. Both processes have both connections from then on, so that a worker which dies closes neither.
 */
export function lend(lendable: Lendable): Lending | null {
  const { exchange, attempt, rest } = lendable;
  const isLong = exchange.framed || lendable.left() >= fewestBytes;
  if (!isLong || !mayBeWrittenElsewhere(exchange) || attempt.idleMs < shortestIdleMs) return null;
  let pieces = 0;
  let isLent = false;
  let over: Promise<void> | null = null;
  const hand = (): void => {
    const { places, left } = lendable;
    // What was written last may still be on its way, and its client's connection be gone.
    if (isLent || !isQuiet(exchange) || rest.counted?.isBetween() === false || left() < fewestBytes) return;
    const place = places.free();
    const lent = place && rest.take();
    if (!lent) return;
    isLent = true;
    const gone = Promise.withResolvers<void>();
    over = gone.promise;
    const relayed = relayedFrom(lendable, gone.resolve);
    const drop = place.relay({ ...relayed, ...{ upstream: lent.socket, framing: lent.framing } });
    if (!drop) return relayed.over({ how: 'lost' });
    watch(attempt.signal, drop, gone.promise);
  };
  return {
    passed() {
      if (!isLent && ++pieces >= mostPieces) atTurnsEnd(hand);
    },
    drained() {
      if (++pieces >= mostPieces) hand();
      return isLent;
    },
    get over() {
      return over;
    },
  };
}

/** HTTP/2 has one connection for many answers; what a route changes is changed in this process. */
const mayBeWrittenElsewhere = ({ req, rewritten }: Exchange): boolean =>
  req.httpVersionMajor === 1 && !rewritten && handleOf(req.socket) !== null;

const isQuiet = ({ res, signal }: Exchange): boolean =>
  !signal.aborted &&
  res.socket !== null &&
  res.headersSent &&
  !res.writableEnded &&
  res.writableLength === 0 &&
  !res.destroyed;

function watch(signal: AbortSignal, drop: Drop, over: Promise<void>): void {
  signal.addEventListener('abort', drop, { once: true });
  void over.then(() => signal.removeEventListener('abort', drop));
}

function relayedFrom({ exchange, attempt, rest }: Lendable, known: () => void): Omit<Relayed, 'upstream' | 'framing'> {
  return {
    client: exchange.req.socket,
    isFramed: exchange.framed,
    shown: rest.counted?.shown ?? null,
    passed({ bytes, events, reported, isHeld }) {
      attempt.data();
      if (isHeld) attempt.held();
      writtenElsewhere(exchange.admission, bytes);
      rest.counted?.add(events, reported);
    },
    over(end) {
      known();
      if (end.how === 'whole') return rest.done(end.keeps);
      if (end.how === 'failed') return rest.failed(end.isMalformed ? new Malformed(end.why) : new Error(end.why));
      rest.failed(notPassedOn(end.how === 'lost'));
      // Whatever is said to the client now could be taken for the rest of what was cut.
      if (end.how === 'lost' || end.isCut) exchange.res.destroy();
    },
  };
}

const notPassedOn = (isLost: boolean): Fault =>
  isLost
    ? new Fault('SHUTTING_DOWN', 'The process that passed the answer on has ended.')
    : new Fault('CANCELLED', 'The client left.');
