import { hash } from 'node:crypto';
import type { Clock } from '#kernel/clock';
import { newSecret } from '#kernel/ids';
import type { Principal } from './principal.ts';
import { compileRights, covers } from './scopes.ts';
import type { Rights } from './scopes.ts';

export interface Sessions {
  /**
   * A token that is good once, for a few minutes: it stands in an address, where logs and histories see it. With `only`
   * the session will be good for those scopes alone.
   */
  ticket(principal: Principal, only?: readonly string[]): { readonly token: string; readonly expiresAt: number };
  /** Turns a ticket into a session; null when it was used, is too old or never was. */
  redeem(ticket: string): { readonly token: string; readonly principal: Principal } | null;
  /** Who opened it, with what they may do now; null once they may nothing any more. */
  verify(session: string): Principal | null;
}

export interface SessionDeps {
  readonly clock: Clock;
  /** Somebody as they are now; null when the key they came with is revoked or has expired. */
  readonly present: (principal: Principal) => Principal | null;
}

export const ticketMs = 10 * 60_000;
export const sessionMs = 12 * 3_600_000;
/** Bounds what a caller with a key can make the platform remember. */
const most = 1_000;

interface Entry {
  readonly principal: Principal;
  readonly only: { readonly scopes: readonly string[]; readonly rights: Rights } | null;
  readonly expires: number;
}

/** Browsers' sessions, in memory: a restart of the platform ends them, and `sutaz console` opens the next. */
export function createSessions({ clock, present }: SessionDeps): Sessions {
  const tickets = new Map<string, Entry>();
  const sessions = new Map<string, Entry>();
  const live = (entry: Entry | undefined) => (entry && entry.expires > clock.now() ? entry : null);
  const put = (map: Map<string, Entry>, token: string, entry: Entry) => {
    for (const [key, old] of map) if (!live(old) || map.size >= most) map.delete(key);
    map.set(hash('sha256', token), entry);
  };
  const holder = ({ principal, only }: Entry): Principal | null => {
    const now = present(principal);
    if (!now || !only) return now;
    return only.scopes.every((scope) => covers(now.rights, scope)) ? { ...now, rights: only.rights } : null;
  };
  return {
    ticket(principal, only) {
      const token = newSecret('');
      const narrowed = only ? { scopes: only, rights: compileRights(only) } : null;
      put(tickets, token, { principal, only: narrowed, expires: clock.now() + ticketMs });
      return { token, expiresAt: clock.wall() + ticketMs };
    },
    redeem(ticket) {
      const digest = hash('sha256', ticket);
      const entry = live(tickets.get(digest));
      tickets.delete(digest);
      const principal = entry && holder(entry);
      if (!principal) return null;
      const token = newSecret('');
      put(sessions, token, { ...entry, expires: clock.now() + sessionMs });
      return { token, principal };
    },
    verify(session) {
      const entry = live(sessions.get(hash('sha256', session)));
      return entry && holder(entry);
    },
  };
}
