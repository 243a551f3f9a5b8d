import { hash, randomBytes } from 'node:crypto';
import { newSecret } from '#kernel/ids';
import { openKeyTable } from './key-table.ts';
import type { KeyEntry, KeysDeps } from './key-table.ts';
import type { Principal } from './principal.ts';
import type { StoredKey } from './stored-key.ts';

export interface NewKey {
  /** For people, to tell keys apart by. */
  readonly name: string;
  /** Whom it speaks for. */
  readonly principal: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  /** Milliseconds since the epoch; null for never. */
  readonly expiresAt: number | null;
}

/** What may be told of a key: everything but the key. */
export interface KeyFacts extends StoredKey {
  readonly lastUsedAt: string | null;
  readonly expired: boolean;
}

export interface MadeKey {
  readonly key: string;
  readonly facts: KeyFacts;
}

export interface Keys {
  /** Makes a key and returns it, the only time it is ever seen: its hash is what is kept. */
  create(key: NewKey): MadeKey;
  /** Who speaks with it; null for one that is unknown, revoked or expired. */
  verify(key: string): Principal | null;
  /** The same by the key's id, for what was opened with it earlier. */
  principalOf(keyId: string): Principal | null;
  /** A new key for the same, beside the old one. Null when no key of that id is good. */
  renew(keyId: string): MadeKey | null;
  /** The old one goes on for `overlapMs`, and then its place is taken by the other. */
  retire(keyId: string, by: string, overlapMs: number): void;
  /** It stops working at once. False when there is none of that id. */
  revoke(keyId: string): boolean;
  get(keyId: string): KeyFacts | null;
  list(): readonly KeyFacts[];
  /** Writes down when keys were used last, if any was since. */
  flush(): void;
}

/** Every key begins so, for people and for scanners that look for leaked ones. */
export const keyPrefix = 'sutaz-';

/**
 * Keys are 256 random bits, so that a plain SHA-256 is enough to keep them by (nothing can be guessed), and so that the
 * look-up by hash leaks nothing through its timing that would help to make another one. One that is wrong costs a hash and
 * a look-up, and leaves nothing behind.
 */
export function openKeys(deps: KeysDeps): Keys {
  const { clock } = deps;
  const table = openKeyTable(deps);
  let dirty = false;

  const facts = (entry: KeyEntry): KeyFacts => ({
    ...entry.stored,
    lastUsedAt: entry.usedAt === null ? null : new Date(entry.usedAt).toISOString(),
    expired: table.isExpired(entry),
  });
  const entryOf = (keyId: string) => table.get(table.digestOf(keyId) ?? '');
  const create = ({ expiresAt, ...rest }: NewKey): MadeKey => {
    const key = newSecret(keyPrefix);
    const stored: StoredKey = {
      ...{ ...rest, keyId: `key-${randomBytes(6).toString('hex')}`, prefix: key.slice(0, keyPrefix.length + 4) },
      createdAt: new Date(clock.wall()).toISOString(),
      expiresAt: expiresAt === null ? null : new Date(expiresAt).toISOString(),
    };
    return { key, facts: facts(table.put(hash('sha256', key), stored)) };
  };
  return {
    create,
    verify(key) {
      const entry = table.get(hash('sha256', key));
      const principal = table.holder(entry);
      if (entry && principal) {
        entry.usedAt = clock.wall();
        dirty = true;
      }
      return principal;
    },
    principalOf: (keyId) => table.holder(entryOf(keyId)),
    renew(keyId) {
      const entry = entryOf(keyId);
      if (!entry || !table.holder(entry)) return null;
      const { name, principal, roles, scopes, expiresAt } = entry.stored;
      return create({ name, principal, roles, scopes, expiresAt: endOf(expiresAt) });
    },
    retire(keyId, by, overlapMs) {
      const digest = table.digestOf(keyId) ?? '';
      const entry = table.get(digest);
      // Revoked meanwhile: writing it again would revive it.
      if (!entry) return;
      const end = Math.min(clock.wall() + overlapMs, endOf(entry.stored.expiresAt) ?? Infinity);
      table.put(digest, { ...entry.stored, expiresAt: new Date(end).toISOString(), replacedBy: by });
    },
    revoke(keyId) {
      const entry = entryOf(keyId);
      if (entry) table.drop(table.digestOf(keyId) ?? '', entry.stored);
      return entry !== undefined;
    },
    get(keyId) {
      const entry = entryOf(keyId);
      return entry ? facts(entry) : null;
    },
    list: () => [...table.all()].map(facts),
    flush() {
      if (!dirty) return;
      table.writeUses();
      dirty = false;
    },
  };
}

const endOf = (expiresAt: string | null): number | null => (expiresAt === null ? null : Date.parse(expiresAt));
