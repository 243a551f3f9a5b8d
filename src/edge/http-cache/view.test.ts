import { expect, it } from 'vitest';
import { configSchema } from '#config/static';
import { Fault } from '#kernel/faults';
import { compileRoutes } from '../routes/table.ts';
import type { RouteTable } from '../routes/table.ts';
import { freshnessOf } from './policy.ts';
import type { HttpCache } from './serve.ts';
import type { StoredAnswer } from './store.ts';
import { clearRouteCaches, goOnCounting, routeCaches } from './view.ts';

function tableWith(memory = '1MiB'): RouteTable {
  const route = (path: string, steps: object[]) => ({ match: { path }, to: { service: 'x' }, with: steps });
  const routes = {
    wiki: route('/wiki/*', [{ httpCache: { memory } }]),
    news: route('/news/*', [{ httpCache: { memory, shared: true } }]),
    plain: route('/plain/*', [{ compress: {} }]),
  };
  const table = compileRoutes(configSchema.parse({ routes }), () => ({}));
  if (!table) throw new Error('There are routes.');
  return table;
}

const cacheOf = (table: RouteTable, name: string) =>
  table.routes.find((one) => one.name === name)?.keeping as HttpCache;

function answer(caller: string, tags: readonly string[] = [], bytes = 100): StoredAnswer {
  const headers = { 'cache-control': 'max-age=60' };
  const freshness = freshnessOf({ method: 'GET', url: '/', headers: {} }, 200, headers);
  if (!freshness) throw new Error('It may be kept.');
  return { status: 200, headers, body: Buffer.alloc(bytes), freshness, caller, vary: [], tags };
}

it('tells of each route that keeps something, and of what made room', () => {
  const table = tableWith('64KiB');
  const { store } = cacheOf(table, 'wiki');
  for (let i = 0; i < 20; i++) store.put(`/${i}`, answer('ada', [], 4_000));
  const [wiki, news, ...others] = routeCaches(table);
  expect(others).toEqual([]);
  expect(wiki).toMatchObject({ route: 'wiki', shared: false, limitBytes: 65_536, entries: 10, evicted: 10 });
  expect(wiki?.bytes).toBe(10 * (4_000 + 2_048));
  expect(news).toMatchObject({ route: 'news', shared: true, entries: 0, bytes: 0, evicted: 0 });
  expect(routeCaches(null)).toEqual([]);
});

it('counts every form of an address once, however often it is put and dropped', () => {
  const { store } = cacheOf(tableWith(), 'wiki');
  for (const caller of ['ada', 'bob', 'ada']) store.put('/a', answer(caller));
  store.put('/b', answer('ada'));
  expect(store.entries).toBe(3);
  store.drop('/a');
  expect([store.entries, store.all('/b').length]).toEqual([1, 1]);
  store.put('/c', answer('ada', [], 2 ** 20));
  expect([store.entries, store.all('/c').length]).toEqual([1, 0]);
});

it('forgets by route, by tag, by caller and by all of them; what is on its way is not kept either', () => {
  const table = tableWith();
  const wiki = cacheOf(table, 'wiki').store;
  const news = cacheOf(table, 'news').store;
  const fill = () => {
    wiki.put('/a', answer('ada', ['red', 'blue']));
    wiki.put('/a', answer('bob', ['red']));
    wiki.put('/b', answer('ada'));
    news.put('/a', answer('', ['red']));
  };
  const counted = (by: Parameters<typeof clearRouteCaches>[1]) => {
    fill();
    return [clearRouteCaches(table, by), wiki.entries, news.entries];
  };
  const { epoch } = wiki;
  expect(counted({ tag: 'red' })).toEqual([3, 1, 0]);
  expect(counted({ route: 'wiki' })).toEqual([3, 0, 1]);
  expect(counted({ route: 'wiki', tag: 'red', principal: 'ada' })).toEqual([1, 2, 1]);
  expect(counted({ principal: 'bob' })).toEqual([1, 2, 1]);
  expect(counted({})).toEqual([4, 0, 0]);
  expect(wiki.epoch).toBeGreaterThan(epoch);
  const strange = () => clearRouteCaches(table, { route: 'wikki' });
  expect(strange).toThrow(Fault);
  expect(strange).toThrow('No route called wikki has a cache (httpCache). Did you mean wiki?');
});

it('goes on counting over a change of the configuration, with nothing kept', () => {
  const before = tableWith();
  const { use, store } = cacheOf(before, 'wiki');
  store.put('/a', answer('ada'));
  Object.assign(use.requests, { hit: 7, miss: 2 });
  Object.assign(use, { sparedBytes: 700, evicted: 1 });
  const next = tableWith('2MiB');
  goOnCounting(next, before);
  expect(routeCaches(next)[0]).toMatchObject({
    ...{ entries: 0, limitBytes: 2 * 2 ** 20, evicted: 1, sparedBytes: 700 },
    requests: { hit: 7, miss: 2, stale: 0 },
  });
  cacheOf(next, 'wiki').use.requests.hit++;
  expect(use.requests.hit).toBe(7);
});
