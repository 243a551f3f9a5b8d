import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiCache } from '#contracts/cache-api';
import { fakePlatform, json } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const told: ApiCache = {
  ...{ entries: 12, bytes: 2 ** 20, limitBytes: 64 * 2 ** 20, ageMs: 3_600_000, shared: false, evicted: 3 },
  requests: { hit: 100, miss: 15, stale: 1, collapsed: 7, 'asked-anew': 2, bypass: 40 },
};

test('shows what is kept and what came of it', async () => {
  platform.routes['GET /sutaz/v1/cache'] = json(told);
  const { code, out } = await platform.run(['cache', 'show']);
  expect(code).toBe(0);
  expect(out).toMatchInlineSnapshot(`
    "12 answers, 1 MiB of 64 MiB, good for 1 h, each for its caller; 3 made room.
    Requests to models:
         100  answered from it
           7  joined another one
          15  not in it
           1  too old in it
           2  wanted anew
          40  not to be kept
    "
  `);
  expect(JSON.parse((await platform.run(['cache', 'show', '--json'])).out)).toEqual(told);
});

test('says so where nothing is kept', async () => {
  platform.routes['GET /sutaz/v1/cache'] = json({ ...told, limitBytes: 0 });
  expect((await platform.run(['cache', 'show'])).out).toContain('cache.memory in sutaz.yaml');
});

test('forgets those of one model', async () => {
  platform.routes['DELETE /sutaz/v1/cache'] = json({ cleared: 4 });
  const { code, out } = await platform.run(['cache', 'clear', '--model', 'smollm2:135m']);
  expect({ code, out }).toEqual({ code: 0, out: '4 answers are forgotten.\n' });
  expect(platform.asked.at(-1)?.path).toBe('/sutaz/v1/cache?model=smollm2%3A135m');
});

test('shows what routes keep of services, and forgets by route and tag', async () => {
  const requests = { hit: 9, miss: 3, stale: 1, revalidated: 2, collapsed: 4, bypass: 5 };
  const wiki = { route: 'wiki', entries: 3, bytes: 9_000, limitBytes: 2 ** 24, shared: true, evicted: 6 };
  platform.routes['GET /sutaz/v1/cache'] = json({
    ...{ ...told, limitBytes: 0 },
    routes: [{ ...wiki, sparedBytes: 2 ** 20, requests }],
  });
  expect((await platform.run(['cache', 'show'])).out).toMatchInlineSnapshot(`
    "Nothing is kept. cache.memory in sutaz.yaml says how much may be.

    ROUTE  KEPT                SIZE  HITS  JOINED  ASKED ABOUT  MISSES  STALE  PASSED  SPARED  MADE ROOM
    wiki      3  8.79 KiB of 16 MiB     9       4            2       3      1       5   1 MiB  6
    "
  `);
  platform.routes['DELETE /sutaz/v1/cache'] = json({ cleared: 2 });
  await platform.run(['cache', 'clear', '--route', 'wiki', '--tag', 'news']);
  expect(platform.asked.at(-1)?.path).toBe('/sutaz/v1/cache?route=wiki&tag=news');
});
