import type { Json } from '#contracts/driver';
import type { StateStore } from '#contracts/state';
import type { Clock } from '#kernel/clock';
import type { Principal } from './principal.ts';
import type { Roles } from './roles.ts';
import { asStored } from './stored-key.ts';
import type { StoredKey } from './stored-key.ts';

export interface KeyEntry {
  readonly stored: StoredKey;
  /** Milliseconds of the clock that never jumps, at which it ends too: turning the machine's date back revives nothing. */
  readonly deadline: number;
  principal: Principal;
  /** Of the roles that `principal` was made of. */
  version: number;
  /** Milliseconds since the epoch. */
  usedAt: number | null;
}

/** The keys in memory, by the hash of each, and the same on disk. */
export interface KeyTable {
  get(digest: string): KeyEntry | undefined;
  digestOf(keyId: string): string | undefined;
  /** On disk first: a key that could not be written was never made, or goes on as it was. */
  put(digest: string, stored: StoredKey): KeyEntry;
  drop(digest: string, stored: StoredKey): void;
  all(): Iterable<KeyEntry>;
  isExpired(entry: KeyEntry): boolean;
  /** Whose it is, with what its roles allow now; null once it has expired. */
  holder(entry: KeyEntry | undefined): Principal | null;
  /** Writes down when keys were used last, in one row for all. */
  writeUses(): void;
}

export interface KeysDeps {
  readonly store: StateStore;
  readonly clock: Clock;
  readonly roles: Roles;
}

/** Milliseconds that an expired key stays in the list. */
const shownMs = 30 * 86_400_000;

export function openKeyTable({ store, clock, roles }: KeysDeps): KeyTable {
  const rows = store.table<Json>('keys');
  const uses = store.table<Record<string, string>>('key-uses');
  const used = uses.get('all') ?? {};
  const known = new Map<string, KeyEntry>();
  const byId = new Map<string, string>();

  const take = (digest: string, stored: StoredKey): KeyEntry => {
    const left = stored.expiresAt === null ? Infinity : Date.parse(stored.expiresAt) - clock.wall();
    const at = used[stored.keyId];
    const entry = {
      ...{ stored, deadline: clock.now() + left, version: roles.version(), principal: principalOf(stored, roles) },
      usedAt: known.get(digest)?.usedAt ?? (at === undefined ? null : Date.parse(at)),
    };
    known.set(digest, entry);
    byId.set(stored.keyId, digest);
    return entry;
  };
  const table: KeyTable = {
    get: (digest) => known.get(digest),
    digestOf: (keyId) => byId.get(keyId),
    put(digest, stored) {
      rows.put(digest, stored as unknown as Json);
      return take(digest, stored);
    },
    drop(digest, { keyId }) {
      rows.delete(digest);
      known.delete(digest);
      byId.delete(keyId);
      delete used[keyId];
    },
    all: () => known.values(),
    isExpired: ({ deadline, stored: { expiresAt } }) =>
      expiresAt !== null && (clock.now() >= deadline || clock.wall() >= Date.parse(expiresAt)),
    holder(entry) {
      if (entry === undefined || table.isExpired(entry)) return null;
      if (entry.version !== roles.version()) {
        entry.principal = principalOf(entry.stored, roles);
        entry.version = roles.version();
      }
      return entry.principal;
    },
    writeUses() {
      for (const { stored, usedAt } of known.values())
        if (usedAt !== null) used[stored.keyId] = new Date(usedAt).toISOString();
      uses.put('all', { ...used });
    },
  };
  for (const { key: digest, value } of rows.list()) {
    const { key: stored, changed } = asStored(digest, value);
    const { expiresAt } = stored;
    if (expiresAt !== null && Date.parse(expiresAt) + shownMs < clock.wall()) table.drop(digest, stored);
    else if (changed) table.put(digest, stored);
    else take(digest, stored);
  }
  return table;
}

function principalOf({ keyId, principal, name, roles: held, scopes, expiresAt }: StoredKey, roles: Roles): Principal {
  return {
    ...{ id: principal, name, keyId, roles: held, rights: roles.rights(held, scopes) },
    expiresAt: expiresAt === null ? null : Date.parse(expiresAt),
  };
}
