import type { ApiEvent, ApiState, ApiUnit } from '#contracts/api';
import type { Cancel, Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import type { Exchange } from './exchange.ts';
import { eventStream } from './sse.ts';
import type { EventStream } from './sse.ts';

export interface Live {
  /** Something may have changed: the difference goes out soon. */
  touch(): void;
  /** Something happened: it goes out at once. */
  tell(event: ApiEvent): void;
  /** Serves one client until it leaves. */
  attach(exchange: Exchange): void;
  close(): void;
}

/** Milliseconds that changes are gathered, so that a burst is one look at the account. */
const gatherMs = 100;
/** Milliseconds without a byte after which a client is sent a comment: what stands between may cut a silent line. */
const keepAliveMs = 12_000;
/** Milliseconds between looks while someone watches, for what changes without an event: memory, idle time. */
const lookMs = 2_000;

/**
 * Tells clients what changes: the whole state first, then each unit that differs from what was told last. A client that
 * falls behind misses single changes and gets the whole state again when it has caught up.
 */
export function createLive(read: () => ApiState, clock: Clock): Live {
  const clients = new Map<EventStream, { behind: boolean }>();
  let told = new Map<string, string>();
  let toldLedger = '';
  let cancel: Cancel | undefined;
  let soon = false;
  let quietSince = 0;
  let closed = false;

  const schedule = (ms: number) => {
    cancel?.();
    cancel = clients.size === 0 ? undefined : clock.after(ms, look);
  };
  const look = () => {
    soon = false;
    const state = read();
    const units = new Map<string, string>();
    const changed: ApiUnit[] = [];
    for (const unit of state.units) {
      const text = JSON.stringify({ ...unit, idleMs: null });
      units.set(unit.id, text);
      if (told.get(unit.id) !== text) changed.push(unit);
    }
    const gone = [...told.keys()].some((id) => !units.has(id));
    told = units;
    for (const [client, facts] of clients) {
      if (facts.behind || gone) facts.behind = !client.send('state', state);
      else for (const unit of changed) if (!client.send('unit', unit)) facts.behind = true;
    }
    const ledger = JSON.stringify(state.ledger);
    if (ledger !== toldLedger)
      for (const [client, facts] of clients) if (!client.send('ledger', state.ledger)) facts.behind = true;
    toldLedger = ledger;
    if (clock.now() - quietSince >= keepAliveMs) {
      quietSince = clock.now();
      for (const client of clients.keys()) client.comment();
    }
    schedule(lookMs);
  };
  return {
    touch() {
      // Only the first of a burst sets the time, else a steady stream of changes would put the look off for ever.
      if (soon || clients.size === 0) return;
      soon = true;
      schedule(gatherMs);
    },
    tell(event) {
      for (const client of clients.keys()) client.send('log', event);
    },
    attach(exchange) {
      if (closed) throw new Fault('SHUTTING_DOWN', 'The platform is stopping.');
      // It left while its key was looked at, and will not do so again.
      if (exchange.signal.aborted) return;
      // What is told from here on is the difference to what this client gets first, and not to an older look.
      look();
      const client = eventStream(exchange);
      clients.set(client, { behind: !client.send('state', read()) });
      exchange.res.on('close', () => clients.delete(client));
      schedule(lookMs);
    },
    close() {
      closed = true;
      cancel?.();
      for (const client of clients.keys()) client.end();
      clients.clear();
    },
  };
}
