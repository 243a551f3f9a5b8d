import { expect, test } from 'vitest';
import type { ApiMap } from '#contracts/map-api';
import { renderMap } from './map.ts';
import { fakePlatform, json } from './platform.fake.ts';

const told: ApiMap = {
  since: '2026-11-25T09:00:00.000Z',
  nodes: [
    { id: 'service/app', kind: 'service', name: 'app', state: 'ready' },
    { id: 'service/wiki', kind: 'service', name: 'wiki', state: 'cold' },
    { id: 'service/postgres', kind: 'service', name: 'postgres', state: 'ready' },
    { id: 'model/tiny:1', kind: 'model', name: 'tiny:1', state: 'frozen' },
    { id: 'door', kind: 'door', name: 'the platform', state: null },
  ],
  edges: [
    {
      ...{ from: 'service/app', to: 'service/postgres', capability: 'postgres', way: 'direct' },
      ...{ requests: null, lastSeen: null, key: 'sutaz-i-abcd' },
    },
    {
      ...{ from: 'service/app', to: 'door', capability: 'openai', way: 'door' },
      ...{ requests: null, lastSeen: null, key: 'sutaz-i-abcd' },
    },
    {
      ...{ from: 'service/app', to: 'model/tiny:1', capability: 'openai', way: 'door' },
      ...{ requests: 3, lastSeen: '2026-11-25T09:00:10.000Z', key: 'sutaz-i-abcd' },
    },
    {
      ...{ from: 'service/wiki', to: 'service/postgres', capability: null, way: 'door' },
      ...{ requests: 0, lastSeen: null, key: null },
    },
  ],
  shared: [
    {
      provider: 'service/postgres',
      users: ['service/app', 'service/b', 'service/c'],
      bytes: 2 ** 20,
      sparedBytes: 2 ** 21,
    },
  ],
};
const now = Date.parse('2026-11-25T09:02:10.000Z');

test('shows each consumer with what it consumes, and what sharing spares', () => {
  expect(renderMap(told, false, now)).toMatchInlineSnapshot(`
    "app (ready), key sutaz-i-abcd...
      postgres  postgres (ready), with an account there
      openai    the platform
      openai    model tiny:1 (frozen), 3 requests, the last 2 min ago

    postgres (1 MiB) has 3 users awake: 2 MiB spared, 2 more of its size.

    1 more, asleep, and without a request: sutaz map --all
    "
  `);
  expect(renderMap(told, true, now)).toContain('wiki (cold)\n  needed  postgres (ready), never asked\n');
});

test('is JSON for programs, and says so where there is nothing', async () => {
  const platform = await fakePlatform();
  try {
    platform.routes['GET /sutaz/v1/map'] = json(told);
    expect(JSON.parse((await platform.run(['map', '--json'])).out)).toEqual(told);
    platform.routes['GET /sutaz/v1/map'] = json({ ...told, nodes: [], edges: [], shared: [] });
    expect((await platform.run(['map'])).out).toBe('Nothing consumes anything.\n');
  } finally {
    await platform.close();
  }
});
