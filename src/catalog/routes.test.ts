import { describe, expect, it } from 'vitest';
import type { Route } from '#config/routes';
import { formatProblem, parseStrict } from '#config/strict';
import { withServiceRoutes } from './routes.ts';
import { serviceSchema } from './service.ts';

const wiki = (routes: string) => {
  const text = `id: wiki
name: Wiki
summary: Pages
category: tool
run: { process: { command: [wiki] } }
resources: { memory: 64MiB }
routes: ${routes}
`;
  const parsed = parseStrict(text, 'wiki.yaml', serviceSchema);
  return parsed.ok ? parsed.value : parsed.problems.map(formatProblem);
};
const of = (id: string, ...paths: string[]) => ({ id, routes: paths.map((path) => ({ match: { path } })) });

describe('a route of a definition', () => {
  it('leads to its service, under a name that no configuration has', () => {
    const own: Route = { match: { path: '/own' }, to: { service: 'x' } };
    const { config, shadowed } = withServiceRoutes({ routes: { own } }, [of('wiki', '/wiki/*', '/pages')]);
    expect(config.routes).toEqual({
      own,
      'wiki/0': { match: { path: '/wiki/*' }, to: { service: 'wiki' } },
      'wiki/1': { match: { path: '/pages' }, to: { service: 'wiki' } },
    });
    expect(shadowed).toEqual([]);
  });

  it("is left out where the user's own, or the one of a service before it, has the address", () => {
    const own: Route = { match: { path: '/wiki/*' }, answer: { status: 200, type: 'text/plain', body: '' } };
    const { config, shadowed } = withServiceRoutes({ routes: { own } }, [
      of('wiki', '/wiki/*', '/pages/*'),
      of('notes', '/pages/*'),
    ]);
    expect(Object.keys(config.routes)).toEqual(['own', 'notes/0']);
    expect(shadowed).toEqual([
      { service: 'wiki', index: 0, by: 'own' },
      { service: 'wiki', index: 1, by: 'notes/0' },
    ]);
  });

  it.each([
    ['{ method: GET }', /routes\[0\]\.match: needs a host or a path of its own/],
    ['{ path: /v1/* }', /routes\[0\]\.match: the door's own paths stay its own/],
    ['{ path: "/*" }', /the door's own paths/],
    ['{ path: /sutaz/x }', /the door's own paths/],
    ['{ path: /wiki, model: x }', /model is for what calls models/],
    ['{ path: wiki }', /must be a path such as/],
  ])('regression: %s is refused with its place', (match, problem) => {
    expect(wiki(`[{ match: ${match} }]`)).toEqual([expect.stringMatching(problem)]);
  });

  it('may have any path at a host of its own, and the middlewares that are known by name', () => {
    const said = '[{ match: { host: wiki.box.lan, path: /v1/* }, with: [{ stripPrefix: /v1 }] }]';
    expect(wiki(said)).toMatchObject({ routes: [{ match: { host: 'wiki.box.lan' }, with: [{ stripPrefix: '/v1' }] }] });
    expect(wiki('[{ match: { path: /w }, with: [{ use: mine.ts }] }]')).toContainEqual(
      expect.stringMatching(/use: unknown key/),
    );
  });
});
