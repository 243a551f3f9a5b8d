import type { IncomingHttpHeaders } from 'node:http';

/** What a client says of caches in its Cache-Control (RFC 9111, section 5.2.1). */
export interface Wishes {
  /** `no-cache`: the engine is to be asked; what it says may be kept. */
  readonly asksAnew: boolean;
  /** `no-store`: nothing is to be kept of it, and nothing kept is to be used. */
  readonly keepsNothing: boolean;
  /** Milliseconds of age at most. */
  readonly maxAgeMs: number;
  /** `only-if-cached`: the engine is not to be asked. */
  readonly onlyKept: boolean;
}

const none: Wishes = { asksAnew: false, keepsNothing: false, maxAgeMs: Infinity, onlyKept: false };

export function wishesOf(headers: IncomingHttpHeaders): Wishes {
  const said = headers['cache-control'] ?? (headers.pragma?.toLowerCase() === 'no-cache' ? 'no-cache' : undefined);
  if (said === undefined) return none;
  const directives = said.split(',').map((one) => one.trim().toLowerCase());
  const seconds = directives.map((one) => /^max-age="?(\d{1,10})"?$/.exec(one)?.[1]).find((one) => one !== undefined);
  return {
    asksAnew: directives.includes('no-cache'),
    keepsNothing: directives.includes('no-store'),
    maxAgeMs: seconds === undefined ? Infinity : Number(seconds) * 1_000,
    onlyKept: directives.includes('only-if-cached'),
  };
}

/** How the cache dealt with a request, as `Cache-Status` tells it (RFC 9211). */
export type Dealt =
  | { readonly kind: 'hit'; readonly ttlMs: number }
  | { readonly kind: 'miss' | 'stale' | 'collapsed' | 'asked-anew' }
  | { readonly kind: 'bypass'; readonly why: string };

const forwarded = {
  miss: 'fwd=uri-miss',
  stale: 'fwd=stale',
  collapsed: 'fwd=uri-miss; collapsed',
  'asked-anew': 'fwd=request',
} as const;

export function cacheStatus(dealt: Dealt): string {
  if (dealt.kind === 'hit') return `sutaz; hit; ttl=${Math.floor(dealt.ttlMs / 1_000)}`;
  return `sutaz; ${dealt.kind === 'bypass' ? `fwd=bypass; detail=${dealt.why}` : forwarded[dealt.kind]}`;
}
