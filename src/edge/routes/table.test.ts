import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { configSchema } from '#config/static';
import { compileRoutes } from './table.ts';
import type { RequestFacts, RouteTable } from './table.ts';

const tableOf = (routes: Record<string, object>): RouteTable => {
  const said = Object.fromEntries(
    Object.entries(routes).map(([name, match]) => [name, { match, with: [{ addPrefix: '/z' }] }]),
  );
  const table = compileRoutes(configSchema.parse({ routes: said }), () => ({}));
  if (!table) throw new Error('no routes');
  return table;
};
const asked = (url: string, more: Partial<RequestFacts> = {}): RequestFacts => {
  const [host = '', ...rest] = url.split('/');
  return { host: host || 'localhost:80', path: `/${rest.join('/')}`, method: 'GET', headers: {}, ...more };
};
const first = (table: RouteTable, facts: RequestFacts) => table.find(facts, [])?.at(-1)?.name ?? null;

const sound = {
  all: { path: '/*' },
  deep: { path: '/a/b/*' },
  exact: { path: '/a/b' },
  post: { path: '/a/*', method: 'POST' },
  blue: { path: '/a/*', method: 'POST', header: { 'X-Color': 'blue' } },
  host: { host: 'wiki.box.lan' },
  hostPath: { host: 'wiki.box.lan', path: '/a/*' },
  wild: { host: '*.box.lan' },
  wilder: { host: '*.x.box.lan' },
};

describe('which route a request takes', () => {
  it.each([
    ['/', 'all'],
    ['/a/b', 'exact'],
    ['/a/b/', 'deep'],
    ['/a/b/c/d', 'deep'],
    ['/a/c', 'all'],
    ['wiki.box.lan/x', 'host'],
    ['WIKI.box.lan:8080/a', 'hostPath'],
    ['wiki.box.lan/ab', 'host'],
    ['other.box.lan/x', 'wild'],
    ['one.x.box.lan/x', 'wilder'],
    ['box.lan/x', null],
    ['evil.example/', null],
    ['/sutaz/v1/state', null],
    ['/healthz', null],
    ['/docs', null],
    ['wiki.box.lan/docs', 'host'],
    ['wiki.localhost/x', null],
  ])('%s goes to %s', (url, name) => expect(first(tableOf(sound), asked(url))).toBe(name));

  it('goes by method and headers, more conditions first', () => {
    const table = tableOf(sound);
    expect(first(table, asked('/a/x', { method: 'POST' }))).toBe('post');
    expect(first(table, asked('/a/x', { method: 'POST', headers: { 'x-color': 'blue' } }))).toBe('blue');
    expect(first(table, asked('/a/x', { method: 'POST', headers: { 'x-color': 'red' } }))).toBe('post');
  });

  it('lets the body decide among those that ask for the model', () => {
    const table = tableOf({ some: { path: '/v1/*', model: 'a-*' }, rest: { path: '/v1/*' } });
    expect(table.find(asked('/v1/x'), [])?.map(({ name }) => name)).toEqual(['some', 'rest']);
  });

  it('never depends on the order of the file', () => {
    const urls = ['/', '/a', '/a/b', '/a/b/c', '/a/x', 'wiki.box.lan/a/b', 'one.x.box.lan/', 'other.box.lan/a'];
    const requests = fc.record({
      url: fc.constantFrom(...urls),
      method: fc.constantFrom('GET', 'POST'),
      blue: fc.boolean(),
    });
    const names = Object.keys(sound) as (keyof typeof sound)[];
    fc.assert(
      fc.property(fc.shuffledSubarray(names, { minLength: 1 }), requests, (some, { url, method, blue }) => {
        const facts = asked(url, { method, headers: blue ? { 'x-color': 'blue' } : {} });
        const inOrder = (order: typeof some) =>
          first(tableOf(Object.fromEntries(order.map((one) => [one, sound[one]]))), facts);
        expect(inOrder(some)).toBe(inOrder(some.toSorted()));
      }),
    );
  });

  it('looks for no longer beginning of a path than there is', () => {
    const table = tableOf({ a: { path: '/a/*' } });
    expect(first(table, asked(`/a${'/x'.repeat(4_000)}`))).toBe('a');
    expect(first(table, asked(`/ab${'/x'.repeat(4_000)}`))).toBe(null);
  });
});
