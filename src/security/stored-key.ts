import { hash } from 'node:crypto';
import type { Json } from '#contracts/driver';
import type { ApiKey } from '#contracts/security-api';
import { isRecord } from '#kernel/json';

/** A key as it stands in `state.db`, under the SHA-256 of itself. */
export interface StoredKey extends Omit<ApiKey, 'expired' | 'lastUsedAt' | 'replacedBy'> {
  /** The key that was made in its place. */
  readonly replacedBy?: string;
}

/** The roles of the first form, in which a key had one and its holder's id. */
const formerRoles: Readonly<Record<string, readonly string[]>> = { admin: ['admin'], use: ['user'] };

/** A row as it is now; `changed` when it was in an earlier form. What is not known of a form allows nothing. */
export function asStored(digest: string, row: Json): { readonly key: StoredKey; readonly changed: boolean } {
  const value: Readonly<Record<string, unknown>> = isRecord(row) ? row : {};
  if (typeof value.keyId === 'string') return { key: value as unknown as StoredKey, changed: false };
  const { id, name, role, prefix, createdAt } = value as Readonly<Record<string, string | undefined>>;
  const key: StoredKey = {
    // Its holder's id named it so far: keys of one holder get names of their own.
    keyId: `key-${hash('sha256', digest).slice(0, 12)}`,
    prefix: prefix ?? '',
    name: name ?? '',
    principal: id ?? 'unknown',
    roles: formerRoles[role ?? ''] ?? [],
    scopes: [],
    createdAt: createdAt ?? new Date(0).toISOString(),
    expiresAt: null,
  };
  return { key, changed: true };
}
