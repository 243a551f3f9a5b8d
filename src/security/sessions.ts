import { hash } from 'node:crypto';
import type { Clock } from '#kernel/clock';
import { newSecret } from '#kernel/ids';
import type { Principal } from './keys.ts';

export interface Sessions {
  /** A token that is good once, for a few minutes: it stands in an address, where logs and histories see it. */
  ticket(principal: Principal): { readonly token: string; readonly expiresAt: number };
  /** Turns a ticket into a session; null when it was used, is too old or never was. */
  redeem(ticket: string): { readonly token: string; readonly principal: Principal } | null;
  verify(session: string): Principal | null;
}

export const ticketMs = 10 * 60_000;
export const sessionMs = 12 * 3_600_000;
/** Bounds what a caller with a key can make the platform remember. */
const most = 1_000;

interface Entry {
  readonly principal: Principal;
  readonly expires: number;
}

/** Browsers' sessions, in memory: a restart of the platform ends them, and `sutaz console` opens the next. */
export function createSessions(clock: Clock): Sessions {
  const tickets = new Map<string, Entry>();
  const sessions = new Map<string, Entry>();
  const live = (entry: Entry | undefined) => (entry && entry.expires > clock.now() ? entry : null);
  const put = (map: Map<string, Entry>, token: string, entry: Entry) => {
    for (const [key, old] of map) if (!live(old) || map.size >= most) map.delete(key);
    map.set(hash('sha256', token), entry);
  };
  return {
    ticket(principal) {
      const token = newSecret('');
      put(tickets, token, { principal, expires: clock.now() + ticketMs });
      return { token, expiresAt: clock.wall() + ticketMs };
    },
    redeem(ticket) {
      const digest = hash('sha256', ticket);
      const entry = live(tickets.get(digest));
      tickets.delete(digest);
      if (!entry) return null;
      const token = newSecret('');
      put(sessions, token, { principal: entry.principal, expires: clock.now() + sessionMs });
      return { token, principal: entry.principal };
    },
    verify: (session) => live(sessions.get(hash('sha256', session)))?.principal ?? null,
  };
}
