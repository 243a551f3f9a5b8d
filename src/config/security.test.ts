import { describe, expect, it } from 'vitest';
import { configSchema } from './static.ts';
import { formatProblem, parseStrict } from './strict.ts';

const problems = (text: string): string[] => {
  const parsed = parseStrict(text, 'sutaz.yaml', configSchema, { environment: {} });
  return parsed.ok ? [] : parsed.problems.map(formatProblem);
};
const oidc = (more: string) => `security:\n  oidc:\n    - { issuer: https://id.example, audience: sutaz, ${more} }\n`;

describe('security in sutaz.yaml', () => {
  it('takes roles of scopes, and issuers that give them', () => {
    expect(
      problems(
        'security:\n  roles: { reader: [audit:read, "models:use:a*"] }\n' +
          '  oidc:\n    - { issuer: "http://127.0.0.1:9", audience: [a, b], roles: { map: { staff: [reader, user] } } }\n',
      ),
    ).toEqual([]);
  });

  it.each([
    [
      'security:\n  roles:\n    reader: [audit:raed]\n',
      'sutaz.yaml:3:14: security.roles.reader[0]: audit:raed is not a scope. Did you mean audit:read?',
    ],
    ['security:\n  roles: { admin: [keys] }\n', 'this role is built in'],
    ['security:\n  roles: { Reader: [keys] }\n', 'small letters'],
    [oidc('roles: { default: [usr] }'), 'security.oidc[0].roles.default[0]: there is no role usr. Did you mean user?'],
    [oidc('roles: { map: { staff: [nobody] } }'), 'security.oidc[0].roles.map.staff[0]: there is no role nobody.'],
    [oidc('algorithms: [HS256]'), 'algorithms[0]'],
    [oidc('algorithms: [none]'), 'algorithms[0]'],
    [oidc('jwks: http://id.example/keys'), 'must be an https address'],
    [oidc('audiense: x'), 'Did you mean audience?'],
    [`${oidc('')}    - { issuer: https://id.example, audience: y }\n`, 'this issuer stands here twice'],
  ])('%s is refused: %s', (text, message) => expect(problems(text).join('\n')).toContain(message));
});
