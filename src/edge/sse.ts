import type { Exchange } from './exchange.ts';
import { openStream } from './comments.ts';

/** A stream of named events to one client. */
export interface EventStream {
  /** False when the client is so far behind that this was left out. */
  send(event: string, data: unknown): boolean;
  comment(): void;
  end(): void;
}

/** Bytes that may wait in a client's socket before events are left out. */
const mostBuffered = 1 << 20;

export function eventStream(exchange: Exchange): EventStream {
  const { res } = exchange;
  openStream(exchange);
  return {
    send(event, data) {
      if (res.destroyed || res.writableLength > mostBuffered) return false;
      res.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
      return true;
    },
    comment: () => void res.write(':\n\n'),
    end: () => void res.end(),
  };
}
