import { expect, it } from 'vitest';
import type { ServiceDefinition } from '#catalog/service';
import { unitId } from '#kernel/ids';
import { dependencyMap } from './dependency-map.ts';
import type { DependencyMapDeps } from './dependency-map.ts';

const service = (id: string, more: object = {}) =>
  ({ id, kind: 'server', provides: [], consumes: {}, needs: [], run: {}, ...more }) as unknown as ServiceDefinition;
const MiB = 2 ** 20;

const services = [
  service('app', { consumes: { openai: {} } }),
  service('wiki', { run: { process: { env: { BASE: '{openai.url}' } } } }),
  service('postgres'),
  service('search'),
  service('aider', { kind: 'job', consumes: { openai: {} } }),
];
const edge = (from: string, to: string, capability: string | null) => ({ from, to, capability });
const bound: Record<string, ReturnType<typeof edge>[]> = {
  app: [edge('app', 'postgres', 'postgres'), edge('app', 'search', 'web')],
  wiki: [edge('wiki', 'postgres', 'postgres')],
};

const setup = (awake: readonly string[], measured: number | null = 40 * MiB): DependencyMapDeps => ({
  services: () => services,
  edges: (id) => bound[id] ?? [],
  isDirect: ({ to }) => to === 'postgres',
  uses: {
    since: 0,
    list: () => [
      { from: 'service/app', to: unitId('model', 'tiny:1'), requests: 3, lastAt: 5_000 },
      { from: 'job/aider', to: unitId('model', 'tiny:1'), requests: 1, lastAt: 6_000 },
      { from: 'service/app', to: unitId('service', 'search'), requests: 2, lastAt: 7_000 },
    ],
  },
  unit: (id) =>
    id.startsWith('job/')
      ? null
      : {
          state: awake.includes(id) ? 'ready' : 'cold',
          bytes: { declared: 0, learned: null, measured, reserved: 64 * MiB },
          instance: awake.includes(id) ? { id: 'i', pid: 1, port: 1, startedAt: '' } : null,
        },
  key: (id) => (awake.includes(id) ? 'sutaz-i-abcdefghijklmnop' : null),
});

it('has what is bound, what was asked at the models, and how', () => {
  const { edges, nodes, since } = dependencyMap(setup(['service/app']));
  expect(since).toBe('1970-01-01T00:00:00.000Z');
  const lines = edges.map(({ from, to, capability, way, requests, key }) => [from, to, capability, way, requests, key]);
  expect(lines).toEqual([
    ['service/app', 'service/postgres', 'postgres', 'direct', null, 'sutaz-i-abcd'],
    ['service/app', 'service/search', 'web', 'door', 2, 'sutaz-i-abcd'],
    ['service/app', 'door', 'openai', 'door', null, 'sutaz-i-abcd'],
    ['service/wiki', 'service/postgres', 'postgres', 'direct', null, null],
    ['service/wiki', 'door', 'openai', 'door', null, null],
    ['job/aider', 'door', 'openai', 'door', null, null],
    ['service/app', 'model/tiny:1', 'openai', 'door', 3, 'sutaz-i-abcd'],
    ['job/aider', 'model/tiny:1', 'openai', 'door', 1, null],
  ]);
  expect(edges[6]?.lastSeen).toBe('1970-01-01T00:00:05.000Z');
  expect(nodes.find(({ id }) => id === 'job/aider')).toEqual({
    id: 'job/aider',
    kind: 'job',
    name: 'aider',
    state: null,
  });
  expect(nodes.map(({ id }) => id)).toContain('door');
});

it('says what one provider for several spares, by those that run', () => {
  const postgres = 'service/postgres';
  expect(dependencyMap(setup([])).shared).toEqual([]);
  expect(dependencyMap(setup(['service/app'])).shared).toEqual([
    { provider: postgres, users: ['service/app'], bytes: 40 * MiB, sparedBytes: 0 },
  ]);
  expect(dependencyMap(setup(['service/app', 'service/wiki'], null)).shared).toEqual([
    { provider: postgres, users: ['service/app', 'service/wiki'], bytes: 64 * MiB, sparedBytes: 64 * MiB },
  ]);
});
