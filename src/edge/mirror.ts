import { deadline } from '#kernel/abort';
import type { Exchange } from './exchange.ts';
import type { ForwardDeps, Onward } from './forward.ts';
import { hasBody, requestHeaders } from './headers.ts';

/** Copies of one unit's requests that are under way at once, at most: what is slower than they come gets fewer. */
const mostCopies = 16;
/** Milliseconds that one may take, its answer included. */
const copyMs = 60_000;

/**
 * Sends a copy of a share of the requests to the place that the unit's policy names. Nobody waits for it, nothing of it goes to
 * the client or says anything of the unit, and what it answers is read and dropped.
 */
export function mirror(exchange: Exchange, onward: Onward, { waker, upstreams, clock }: ForwardDeps): void {
  const { policy, mirrored } = waker.picker(onward.unit);
  if (!policy.mirror || (onward.body === null && hasBody(exchange.req.headers))) return;
  if (!mirrored.begins(policy.mirror.share, mostCopies)) return;
  const { target } = policy.mirror.place;
  const { signal, clear } = deadline(clock, copyMs, 'A copy took too long.');
  const { prefix, path, body } = onward;
  const headers = requestHeaders(exchange, { prefix, key: target.key });
  headers.push('x-sutaz-mirror', '1');
  const request = { ...target, method: exchange.method, path: target.basePath + path, headers, body, signal };
  upstreams
    .send(request, { head: () => undefined, data: () => true })
    .then(
      () => mirrored.ended(false),
      () => mirrored.ended(true),
    )
    .finally(clear);
}
