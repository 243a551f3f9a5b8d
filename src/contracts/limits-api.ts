/** What `/sutaz/v1/limits` says: the rules of `limits.rules`, and what is used of each. */
export interface ApiLimits {
  readonly limits: readonly ApiLimit[];
}

export interface ApiLimit {
  readonly name: string;
  /** The patterns of what it is about, by `key`, `principal`, `service`, `model`, `route`; empty where it is about everything. */
  readonly for: Readonly<Record<string, readonly string[]>>;
  /** Of what it keeps an account each; empty for one of all together. */
  readonly each: readonly string[];
  /** What is the matter with it, as sentences: a name in it that nothing has. */
  readonly warnings: readonly string[];
  readonly quotas: readonly ApiQuota[];
  /** Those in which something is used. */
  readonly accounts: readonly ApiLimitAccount[];
}

export interface ApiQuota {
  /** As the RateLimit headers call it. */
  readonly policy: string;
  readonly kind: 'requests' | 'tokens' | 'bytes' | 'concurrent';
  readonly limit: number;
  /** Null for `concurrent`. */
  readonly per: 'second' | 'minute' | 'hour' | 'day' | null;
}

export interface ApiLimitAccount {
  /** `ada`, or `ada qwen3:0.6b` where a rule keeps one for each pair; empty for all together. */
  readonly subject: string;
  readonly quotas: readonly ApiQuotaUse[];
}

export interface ApiQuotaUse extends ApiQuota {
  /** With what is reserved for requests under way. */
  readonly used: number;
  readonly left: number;
  /** Milliseconds until all of it is there again; null where that is not a matter of time. */
  readonly resetMs: number | null;
}
