import { expect, it } from 'vitest';
import { decodeMap } from '../api/decode-map.ts';
import type { WiringEdge } from '../api/types.ts';
import { consumersOf, nameOf, sparedBy, traffic } from './consumers.ts';

const edge = (from: string, to: string, more: Partial<WiringEdge> = {}): WiringEdge => ({
  ...{ from, to, capability: null, way: 'door', requests: 0, lastSeen: null, key: null },
  ...more,
});

it('shows who runs or has asked, by name, and all others on demand', () => {
  const edges = [
    edge('service/z', 'service/db', { key: 'sutaz-i-abcd' }),
    edge('job/aider', 'model/m', { requests: 2 }),
    edge('service/asleep', 'service/db'),
    edge('service/z', 'door'),
  ];
  expect(consumersOf(edges, false).map(({ id, key, edges: of }) => [id, key, of.length])).toEqual([
    ['job/aider', null, 1],
    ['service/z', 'sutaz-i-abcd', 2],
  ]);
  expect(consumersOf(edges, true)).toHaveLength(3);
});

it.each([
  ['service/chroma', 'chroma'],
  ['model/smollm2:135m', 'model smollm2:135m'],
  ['door', 'the platform'],
])('%s is called %s', (id, name) => expect(nameOf(id)).toBe(name));

it('tells how a provider is asked, and when last', () => {
  const now = Date.parse('2026-11-02T09:00:08Z');
  expect(traffic(edge('a', 'b', { way: 'direct', requests: null }), now)).toBe('has an account there');
  expect(traffic(edge('a', 'door', { requests: null }), now)).toBe('through the door');
  expect(traffic(edge('a', 'b'), now)).toBe('never asked');
  const asked = { requests: 1, lastSeen: '2026-11-02T09:00:00Z' };
  expect(traffic(edge('a', 'b', asked), now)).toBe('1 request, the last 8 s ago');
});

it('tells what is spared where several share', () => {
  const shared = { provider: 'service/redis', bytes: 2 ** 20, sparedBytes: 2 ** 20 };
  expect(sparedBy({ ...shared, users: ['a', 'b'] })).toBe('redis serves 2: 1 MiB spared');
  expect(sparedBy({ ...shared, users: ['a'] })).toBeNull();
});

it('reads what it can of a map, whatever came over the wire', () => {
  expect(decodeMap(null)).toEqual({ edges: [], shared: [] });
  const { edges, shared } = decodeMap({
    edges: [{ from: 'a' }, { from: 'service/a', to: 'door', way: 'new', requests: 'x', capability: 'openai' }],
    shared: [{}, { provider: 'service/redis', users: ['service/a', 1], bytes: -1 }],
  });
  expect(edges).toEqual([edge('service/a', 'door', { capability: 'openai', requests: null })]);
  expect(shared).toEqual([{ provider: 'service/redis', users: ['service/a', ''], bytes: 0, sparedBytes: 0 }]);
});
