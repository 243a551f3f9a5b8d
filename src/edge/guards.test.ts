import { describe, expect, it } from 'vitest';
import { guardOf, guards } from './guards.ts';

const at = (path: string, method = 'GET') => guardOf({ path, method });

describe('the guard of', () => {
  it.each([
    ['/healthz', 'POST', '/healthz', null],
    ['/console/assets/a.js', 'GET', '/console/{+page}', 'assets/a.js'],
    ['/v1/chat/completions', 'POST', '/v1/chat/completions', null],
    ['/v1/models/hf.co%2Fa/b', 'GET', '/v1/models/{+name}', 'hf.co%2Fa/b'],
    ['/services/chroma', 'DELETE', '/services/{name}', 'chroma'],
    ['/services/chroma/', 'PROPFIND', '/services/{name}/{+path}', 'chroma'],
    ['/services/chroma/a\nb', 'GET', '/services/{name}/{+path}', 'chroma'],
    ['/sutaz/v1/units/x/stop', 'POST', '/sutaz/v1/units/{name}/stop', 'x'],
  ])('%s by %s is that of %s', (path, method, guard, name) =>
    expect(at(path, method)).toMatchObject({ guard: { path: guard }, name, allow: null }),
  );

  it.each(['/nothing', '/v1/nothing', '/services/', '/sutaz/v1/units', '/sutaz/v1/units/a/b/c', '//', '/metrics/'])(
    '%s is none',
    (path) => expect(at(path)).toBeNull(),
  );

  it('an address asked by another method says which it takes', () => {
    expect(at('/metrics', 'POST')?.allow).toEqual(['GET', 'HEAD']);
    expect(at('/sutaz/v1/models/x', 'POST')?.allow).toEqual(['GET', 'DELETE']);
  });
});

it('no two guards are for the same method of the same address', () => {
  const all = guards.flatMap(({ methods, path }) => (methods ?? ['*']).map((method) => `${method} ${path}`));
  expect(new Set(all).size).toBe(all.length);
});
