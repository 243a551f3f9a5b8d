/** A key without the key itself, which is shown once, when it is made. Times are ISO 8601. */
export interface ApiKey {
  readonly keyId: string;
  /** Its first characters, to recognise it by. */
  readonly prefix: string;
  readonly name: string;
  /** Whom it speaks for: turns and limits are counted by it. */
  readonly principal: string;
  readonly roles: readonly string[];
  readonly scopes: readonly string[];
  readonly createdAt: string;
  readonly expiresAt: string | null;
  readonly expired: boolean;
  readonly lastUsedAt: string | null;
  /** The key that was made in its place. */
  readonly replacedBy: string | null;
}

export interface ApiKeyList {
  readonly keys: readonly ApiKey[];
}

export interface ApiKeyAsk {
  readonly name?: string;
  /** The name, in small letters, when left out. */
  readonly principal?: string;
  /** `user` when neither roles nor scopes are said. */
  readonly roles?: readonly string[];
  readonly scopes?: readonly string[];
  /** `30d`, `12h`; without it the key does not expire. */
  readonly expiresIn?: string;
}

export interface ApiMadeKey {
  /** Shown this once: only its hash is kept. */
  readonly key: string;
  readonly facts: ApiKey;
}

export interface ApiRotateAsk {
  /** How long the old key goes on: `1h` when left out, `0s` for not at all. */
  readonly overlap?: string;
}

/** One change of rights or state. Times are ISO 8601. */
export interface ApiAuditEntry {
  readonly at: string;
  /** A call of the control API by its name (`createKey`), `signInRefused`, `configurationChanged`. */
  readonly what: string;
  /** What it was done to: the name in the address, the id of a key. */
  readonly target: string | null;
  /** The status of the answer; 499 when the caller left before it was whole. */
  readonly status: number | null;
  readonly principal: string | null;
  readonly keyId: string | null;
  /** The address it came from. */
  readonly from: string | null;
  readonly traceId: string | null;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface ApiAuditList {
  /** The newest first. */
  readonly entries: readonly ApiAuditEntry[];
}
