import { describe, expect, it } from 'vitest';
import { configSchema } from './static.ts';
import { formatProblem, parseStrict } from './strict.ts';

const problems = (text: string) => {
  const parsed = parseStrict(text, 'sutaz.yaml', configSchema);
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
};
const route = (text: string) => problems(`routes:\n  a: ${text}\n`);

describe('routes', () => {
  it('are read with what is done to what passes', () => {
    const text = `routes:
  docs:
    match: { host: docs.box.lan, path: /manual/*, method: [GET, HEAD], header: { X-Team: '*' } }
    to: { service: wiki }
    with: [{ stripPrefix: /manual }, internal]
  short:
    match: { path: /v1/chat/completions, model: support-* }
    to: { model: smollm2:135m }
    with: [{ requestJson: { max: { max_tokens: 200 }, remove: [tools], set: { stream_options.include_usage: true } } }]
  robots: { match: { path: /robots.txt }, answer: { body: "no" }, public: true }
  old: { match: { path: /old/* }, redirect: { to: '/new/*', status: 308 } }
middlewares:
  internal: [{ requestHeaders: { set: { X-Team: docs }, remove: [Cookie] } }, { use: middlewares/mine.ts }]
`;
    expect(problems(text)).toEqual([]);
  });

  it.each([
    ['{ match: { path: /x }, too: { service: y } }', 'sutaz.yaml:2:29: routes.a.too: unknown key. Did you mean to?'],
    ['{ match: { pth: /x }, to: { service: y } }', 'routes.a.match.pth: unknown key. Did you mean path?'],
    ['{ match: {}, to: { service: y } }', 'matches everything: it needs one of host, path, method, header, model'],
    ['{ match: { path: /x } }', 'does nothing: it needs one of to, redirect, answer, with'],
    ['{ match: { path: /x }, to: { service: y }, answer: {} }', 'needs one of to, answer, not several'],
    ['{ match: { path: /x }, to: { service: y, model: z } }', 'needs exactly one of service, model, url'],
    ['{ match: { path: /x }, to: { service: y }, public: true }', 'only a redirect or an answer needs no key'],
    ['{ match: { path: x }, answer: {} }', 'must be a path such as /manual'],
    ['{ match: { path: /x* }, answer: {} }', 'a * stands after a slash, at the end'],
    ['{ match: { path: /x, method: GTE }, answer: {} }', 'Did you mean GET?'],
    ['{ match: { host: "box.lan:80" }, answer: {} }', 'no port'],
    ['{ match: { host: wiki.localhost }, answer: {} }', "names below it are the door's own"],
    ['{ match: { path: /x, model: y }, to: { service: z } }', 'is read by what calls models'],
    ['{ match: { path: /x }, redirect: { to: "//evil" } }', 'must be a path or an address'],
    ['{ match: { path: /x }, to: { url: "https://u:p@x.org" } }', 'must be http or https, without a user'],
    ['{ match: { path: /x }, with: [internl] }', 'no middlewares are called internl.'],
    ['{ match: { path: /x }, with: [{ stripPrefx: /x }] }', 'unknown key. Did you mean stripPrefix?'],
    ['{ match: { path: /x }, with: [{ stripPrefix: /x, addPrefix: /y }] }', 'must be one middleware'],
    ['{ match: { path: /x }, with: [{ requestHeaders: { set: { Host: y } } }] }', "this header is the door's own"],
    ['{ match: { path: /x }, with: [{ requestHeaders: { rename: { X: Authorization } } }] }', "is the door's own"],
    ['{ match: { path: /x }, with: [{ requestJson: { set: { a.__proto__.b: 1 } } }] }', 'must be a field such as'],
    ['{ match: { path: /x }, with: [{ use: ../mine.ts }] }', 'must be in the home folder'],
    [
      '{ match: { path: /x }, to: { model: y }, with: [{ httpCache: {} }] }',
      'answers of models are kept by cache.memory',
    ],
    ['{ match: { path: /x }, to: { service: y }, with: [{ compress: { codings: [lzw] } }] }', 'codings'],
  ])('%s says what is wrong', (text, message) => expect(route(text).join('\n')).toContain(message));

  it.each(['/sutaz', '/sutaz/*', '/console/x', '/healthz', '/readyz', '/metrics', '/mcp', '/docs', '/docs/*'])(
    'cannot take %s away from the door, but may have it at a name of their own',
    (path) => {
      expect(route(`{ match: { path: ${path} }, answer: {} }`).join()).toContain("is the door's own");
      expect(route(`{ match: { path: ${path}, host: localhost }, answer: {} }`).join()).toContain("is the door's own");
      expect(route(`{ match: { path: ${path}, host: wiki.box.lan }, answer: {} }`)).toEqual([]);
    },
  );

  it('that are equal and overlap are an error that names both; those that exclude one another are not', () => {
    const two = (one: string, other: string) =>
      problems(`routes:\n  a: { match: ${one}, answer: {} }\n  b: { match: ${other}, answer: {} }\n`);
    expect(two('{ path: /x }', '{ path: /x }').join()).toContain('matches what a matches');
    expect(two('{ path: /x, method: GET }', '{ path: /x, header: { y: z } }').join()).toContain(
      'matches what a matches',
    );
    expect(two('{ path: /x, method: GET }', '{ path: /x, method: POST }')).toEqual([]);
    expect(two('{ path: /x, header: { y: a } }', '{ path: /x, header: { y: b } }')).toEqual([]);
    expect(two('{ path: /x }', '{ path: /x, method: GET }')).toEqual([]);
    expect(two('{ path: /x }', '{ path: /x/* }')).toEqual([]);
  });
});
