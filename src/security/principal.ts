import type { Rights } from './scopes.ts';

/** Who asks: a person's key, a browser's session, the identity minted for an instance, a token of an outside issuer. */
export interface Principal {
  /** Turns, limits and budgets are counted by it. Several keys may speak for one principal. */
  readonly id: string;
  /** For people. */
  readonly name: string;
  /** The key it came with; of a session the one it was opened with. Null where there is none: instances, outside issuers. */
  readonly keyId: string | null;
  readonly roles: readonly string[];
  /** Its roles and scopes together. */
  readonly rights: Rights;
  /** Milliseconds since the epoch at which what it came with ends; null for never. */
  readonly expiresAt: number | null;
}
