import type { Gauge } from './accounts.ts';
import type { Kind, Quota } from './rules.ts';

/**
 * The RateLimit fields of draft-ietf-httpapi-ratelimit-headers-10: lists of structured fields, one item a quota. What is counted
 * is `qu`; without it requests.
 */
const units: Readonly<Record<Kind, string>> = {
  requests: '',
  tokens: ';qu="tokens"',
  bytes: ';qu="content-bytes"',
  concurrent: ';qu="concurrent-requests"',
};

export const policyItem = ({ policy, limit, windowMs, kind }: Omit<Quota, 'item'>): string =>
  `"${policy}";q=${limit}${windowMs > 0 ? `;w=${windowMs / 1_000}` : ''}${units[kind]}`;

/** What is left, and in how many seconds all of it is there again; of one that is used up, when there is any. */
function stateItem({ meter, quota }: Gauge, now: number, retryMs: number | null): string {
  const left = Math.max(0, Math.floor(quota.limit - meter.used(now)));
  if (quota.windowMs === 0) return `"${quota.policy}";r=${left}`;
  const wait = retryMs ?? meter.waitMs(left > 0 ? quota.limit : 1, now) ?? quota.windowMs;
  return `"${quota.policy}";r=${left};t=${Math.ceil(wait / 1_000)}`;
}

/** Values of RateLimit-Policy and RateLimit. `refused`: the one that let nothing in, and in how many milliseconds it may. */
export function limitHeaders(
  gauges: readonly Gauge[],
  now: number,
  refused: { readonly gauge: Gauge; readonly retryMs: number } | null = null,
): { readonly policy: string; readonly state: string } {
  let policy = '';
  let state = '';
  for (const gauge of gauges) {
    const between = policy === '' ? '' : ', ';
    policy += between + gauge.quota.item;
    state += between + stateItem(gauge, now, gauge === refused?.gauge ? refused.retryMs : null);
  }
  return { policy, state };
}
