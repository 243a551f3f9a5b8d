import { hash } from 'node:crypto';
import type { Json } from '#contracts/driver';
import type { StateStore } from '#contracts/state';
import type { Clock } from '#kernel/clock';
import { newSecret } from '#kernel/ids';

/** Who asks: a person's key, a browser's session, or the identity minted for an instance. */
export interface Principal {
  readonly id: string;
  readonly name: string;
  /** `admin` may do everything; `use` may ask models and services; `service` reaches one service's own address. */
  readonly role: 'admin' | 'use' | 'service';
  /** For the role `service`: which one. */
  readonly service?: string;
}

export interface Keys {
  /** Makes a key and returns it, the only time it is ever seen: its hash is what is kept. */
  create(principal: Principal): string;
  verify(key: string): Principal | null;
  /** Keys of a principal stop working at once. */
  revoke(principalId: string): void;
  list(): readonly (Principal & { readonly prefix: string; readonly createdAt: string })[];
}

type Stored = Principal & { readonly prefix: string; readonly createdAt: string };

/**
 * Keys are 256 random bits, so that a plain SHA-256 is enough to keep them by (nothing can be guessed), and so that the
 * look-up by hash leaks nothing through its timing that would help to make another one.
 */
export function openKeys(store: StateStore, clock: Clock): Keys {
  const table = store.table<Json>('keys');
  const known = new Map<string, Stored>(table.list().map(({ key, value }) => [key, value as unknown as Stored]));
  return {
    create(principal) {
      const key = newSecret('sutaz-');
      const stored: Stored = {
        ...principal,
        prefix: key.slice(0, 10),
        createdAt: new Date(clock.wall()).toISOString(),
      };
      const digest = hash('sha256', key);
      table.put(digest, stored as unknown as Json);
      known.set(digest, stored);
      return key;
    },
    verify: (key) => known.get(hash('sha256', key)) ?? null,
    revoke(principalId) {
      for (const [digest, stored] of known) {
        if (stored.id !== principalId) continue;
        table.delete(digest);
        known.delete(digest);
      }
    },
    list: () => [...known.values()],
  };
}

/** Identities of instances: minted at their start, withdrawn at their end, never written to disk by this table. */
export interface Minted {
  /** `holder` is the instance: several may speak for one principal. */
  mint(holder: string, principal: Principal, key: string): void;
  withdraw(holder: string): void;
  verify(key: string): Principal | null;
}

export function createMinted(): Minted {
  const known = new Map<string, { readonly holder: string; readonly principal: Principal }>();
  return {
    mint: (holder, principal, key) => void known.set(hash('sha256', key), { holder, principal }),
    withdraw(holder) {
      for (const [digest, one] of known) if (one.holder === holder) known.delete(digest);
    },
    verify: (key) => known.get(hash('sha256', key))?.principal ?? null,
  };
}
