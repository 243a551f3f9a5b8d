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

interface Watched {
  readonly exchange: Exchange;
  bytes: number;
  /** Of the clock, when the present look began, and the bytes that there were then. */
  since: number;
  before: number;
}

/** One timer for all bodies, which runs only while there are any. */
export function createBodyWatch(clock: Clock, limits: () => BodyLimits): BodyWatch {
  const coming = new Set<Watched>();
  let cancel: Cancel | null = null;
  const look = () => {
    const { bodyTimeout, bodyRate } = limits();
    const now = clock.now();
    for (const one of coming) {
      if (now - one.since < bodyTimeout) continue;
      const slow = one.bytes - one.before < (bodyRate * (now - one.since)) / 1000;
      if (slow && isAwaited(one.exchange)) giveUp(one.exchange, bodyTimeout);
      else Object.assign(one, { since: now, before: one.bytes });
    }
    cancel = coming.size === 0 ? null : clock.after(bodyTimeout / 4, look);
  };
  return {
    watch(exchange) {
      const { req } = exchange;
      if (req.complete || !hasBody(exchange)) return;
      const one: Watched = { exchange, bytes: 0, since: clock.now(), before: 0 };
      coming.add(one);
      const push = req.push.bind(req);
      req.push = (chunk: Buffer | null, encoding) => {
        if (chunk === null) coming.delete(one);
        else one.bytes += chunk.byteLength;
        return push(chunk, encoding);
      };
      // Who read it may have stopped listening between Node's decision to tell of an error and the telling.
      req.on('error', () => undefined);
      req.once('close', () => coming.delete(one));
      cancel ??= clock.after(limits().bodyTimeout / 4, look);
    },
  };
}

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
