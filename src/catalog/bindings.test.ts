import { describe, expect, it } from 'vitest';
import { boundTo, edgesOf, providersOf, tellWay, wayBetween } from './bindings.ts';
import type { ServiceDefinition } from './service.ts';

const service = (id: string, more: Partial<ServiceDefinition> = {}) =>
  ({ id, kind: 'server', provides: [], consumes: {}, needs: [], ...more }) as unknown as ServiceDefinition;

const all = [
  service('app', { consumes: { postgres: {}, openai: {} }, needs: ['chroma'] }),
  service('archive', { provides: ['postgres'] }),
  service('chroma', { provides: ['vectors.chroma'], consumes: { postgres: {} } }),
  service('postgres', { provides: ['postgres'] }),
  service('engine', { kind: 'engine', provides: ['vectors.chroma'] }),
  service('a-chroma', { provides: ['vectors.chroma'], consumes: { 'vectors.chroma': {} } }),
];

describe('a provider', () => {
  it('is the one named after the capability, then the first by id; never itself and never an engine', () => {
    expect(providersOf('postgres', 'app', all).map(({ id }) => id)).toEqual(['postgres', 'archive']);
    expect(providersOf('vectors.chroma', 'a-chroma', all).map(({ id }) => id)).toEqual(['chroma']);
  });

  it('is the one that can run here, and where none can the first, which tells why', () => {
    expect(boundTo('postgres', 'app', all, undefined, (id) => id === 'archive')?.id).toBe('archive');
    expect(boundTo('postgres', 'app', all, undefined, () => false)?.id).toBe('postgres');
  });

  it('is the chosen one whether it can run or not, and none where that does not provide it', () => {
    expect(
      boundTo(
        'postgres',
        'app',
        all,
        () => 'archive',
        () => false,
      )?.id,
    ).toBe('archive');
    expect(boundTo('postgres', 'app', all, () => 'chroma')).toBeUndefined();
  });
});

it('the edges of a service are what it needs and whom it is bound to; the door is none', () => {
  const [app] = all;
  expect(app && edgesOf(app, all)).toEqual([
    { from: 'app', to: 'chroma', capability: null },
    { from: 'app', to: 'postgres', capability: 'postgres' },
  ]);
});

it('a way is told step by step', () => {
  const edges = (id: string) => all.filter((one) => one.id === id).flatMap((one) => edgesOf(one, all));
  const way = wayBetween('app', 'postgres', edges);
  expect(way && tellWay(way)).toBe('app needs chroma consumes postgres of postgres');
  expect(wayBetween('postgres', 'app', edges)).toBeNull();
});
