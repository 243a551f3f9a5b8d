import type { IncomingMessage } from 'node:http';
import type { Cancel, Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { sendFault } from '../exchange.ts';
import type { Exchange } from '../exchange.ts';

export interface BodyLimits {
  /** Milliseconds over which a body is looked at. */
  readonly bodyTimeout: number;
  /** Bytes a second that it must come to. */
  readonly bodyRate: number;
}

/** Looks after the bodies that are still coming. */
export interface BodyWatch {
  /** Ends the request with 408 when its client stops sending. A body that nobody reads yet, or that is not taken as fast as it comes, is waited for. */
  watch(exchange: Exchange): void;
}

/** Bytes of its body that a request has had so far. */
const came = Symbol('came');
type Counted = IncomingMessage & { [came]?: number };

const cameOf = (req: Counted): number => req[came] ?? 0;

/** One function for all requests, since each has it: a closure for each is what a small request would be made of. */
function countedPush(this: Counted, chunk: Buffer | null, encoding?: BufferEncoding): boolean {
  if (chunk !== null) this[came] = cameOf(this) + chunk.byteLength;
  const { push } = Object.getPrototypeOf(this) as IncomingMessage;
  return push.call(this, chunk, encoding);
}

interface Watched {
  readonly exchange: Exchange;
  /** Of the clock, when the present look began, and the bytes that there were then. */
  since: number;
  before: number;
}

/**
 * One timer for all bodies, which runs only while there are any. Most come with their heads: what is whole a moment later is
 * never looked at. They stand in lists that are thrown away, and in no set: one that is filled and emptied with every
 * request leaves tables behind which keep all of them alive until memory is looked through as a whole.
 */
export function createBodyWatch(clock: Clock, limits: () => BodyLimits): BodyWatch {
  let fresh: Watched[] = [];
  let coming: Watched[] = [];
  let cancel: Cancel | null = null;
  const begin = () => {
    const late = fresh.filter(isComing);
    fresh = [];
    if (late.length === 0) return;
    coming.push(...late);
    cancel ??= clock.after(limits().bodyTimeout / 4, look);
  };
  const look = () => {
    const { bodyTimeout, bodyRate } = limits();
    const now = clock.now();
    coming = coming.filter(isComing);
    for (const one of coming) {
      if (now - one.since < bodyTimeout) continue;
      const bytes = cameOf(one.exchange.req);
      const slow = bytes - one.before < (bodyRate * (now - one.since)) / 1000;
      if (slow && isAwaited(one.exchange)) giveUp(one.exchange, bodyTimeout);
      else Object.assign(one, { since: now, before: bytes });
    }
    cancel = coming.length === 0 ? null : clock.after(bodyTimeout / 4, look);
  };
  return {
    watch(exchange) {
      if (!hasBody(exchange)) return;
      exchange.req.push = countedPush;
      // Who read it may have stopped listening between Node's decision to tell of an error and the telling.
      exchange.req.on('error', ignored);
      if (fresh.push({ exchange, since: exchange.since, before: 0 }) === 1) setImmediate(begin);
    },
  };
}

const ignored = (): void => undefined;

const isComing = ({ exchange: { req } }: Watched): boolean => !req.complete && !req.destroyed;

/** Whether it is the client that is waited for: what came was taken, and somebody reads. */
const isAwaited = ({ req, res }: Exchange): boolean =>
  req.readableLength === 0 && req.readableDidRead && !res.destroyed;

function giveUp(exchange: Exchange, ms: number): void {
  const fault = new Fault('REQUEST_TIMEOUT', `The body came too slowly for ${ms / 1000} seconds (limits.bodyTimeout).`);
  exchange.abort(fault);
  exchange.res.shouldKeepAlive = false;
  exchange.res.once('close', () => exchange.req.destroy());
  sendFault(exchange, fault);
}

const hasBody = ({ req: { headers } }: Exchange): boolean =>
  headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0';
