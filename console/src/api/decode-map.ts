import { fields, isNumber, list, text, textOrNull } from './decode.ts';
import type { Shared, WiringEdge, WiringMap } from './types.ts';

/** As forgiving as the other decoders: an edge without its ends is left out. */
export function decodeMap(value: unknown): WiringMap {
  const { edges, shared } = fields(value);
  return { edges: list(edges).flatMap(edgeOf), shared: list(shared).flatMap(sharedOf) };
}

function edgeOf(value: unknown): WiringEdge[] {
  const { from, to, capability, way, requests, lastSeen, key } = fields(value);
  if (typeof from !== 'string' || typeof to !== 'string') return [];
  return [
    {
      ...{ from, to, capability: textOrNull(capability), way: way === 'direct' ? 'direct' : 'door' },
      ...{ requests: isNumber(requests) ? requests : null, lastSeen: textOrNull(lastSeen), key: textOrNull(key) },
    },
  ];
}

function sharedOf(value: unknown): Shared[] {
  const { provider, users, bytes, sparedBytes } = fields(value);
  if (typeof provider !== 'string') return [];
  const amount = (one: unknown) => (isNumber(one) ? Math.max(0, one) : 0);
  const names = list(users).map((user) => text(user));
  return [{ provider, users: names, bytes: amount(bytes), sparedBytes: amount(sparedBytes) }];
}
