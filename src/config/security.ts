import { z } from 'zod';
import { builtInRoles, readScope } from '#kernel/scopes';
import { didYouMean } from '#kernel/nearest';
import { duration } from './fields.ts';

const scope = z.string().superRefine((text, ctx) => {
  const read = readScope(text);
  if (typeof read === 'object' && 'problem' in read) ctx.addIssue({ code: 'custom', message: read.problem });
});

const roleName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{0,63}$/, 'a role is named in small letters, digits and -')
  .refine((name) => !Object.hasOwn(builtInRoles, name), 'this role is built in, and is what it is');

const loopback = ['localhost', '127.0.0.1', '[::1]'];
const secureUrl = z.url().refine(
  (text) => {
    const { protocol, hostname } = new URL(text);
    return protocol === 'https:' || (protocol === 'http:' && loopback.includes(hostname));
  },
  { error: 'must be an https address: over a plain one anybody on the way could sign tokens' },
);

/** Public keys only: with a shared secret whoever can check a token could make one. */
const algorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
] as const;

const claimRoles = z
  .strictObject({
    claim: z
      .string()
      .min(1)
      .default('roles')
      .describe(
        'The claim that tells of them: a list, or words in one text; `realm_access.roles` is one inside another.',
      ),
    map: z
      .record(z.string().min(1), z.array(z.string().min(1)))
      .default({})
      .describe('What stands in that claim, and the roles here that it gives.'),
    default: z.array(z.string().min(1)).default([]).describe('Roles of everybody with a good token.'),
  })
  .prefault({})
  .describe('What its people may do here. Without a role a token is good for nothing.');

const issuer = z
  .strictObject({
    issuer: secureUrl.describe('As its tokens say in `iss`, to the letter.'),
    audience: z
      .union([
        z
          .string()
          .min(1)
          .transform((one) => [one]),
        z.array(z.string().min(1)).min(1),
      ])
      .describe('What its tokens for this platform say in `aud`; one of several.'),
    jwks: secureUrl.exactOptional().describe("Where its keys are. Without it the issuer's own description says so."),
    algorithms: z.array(z.enum(algorithms)).min(1).default(['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA', 'Ed25519']),
    leeway: duration.prefault('30s').describe('How far its clock and ours may be apart.'),
    roles: claimRoles,
  })
  .describe('An issuer of tokens (OpenID Connect) whose people may come in.');

export const security = z
  .strictObject({
    roles: z
      .record(roleName, z.array(scope).min(1))
      .default({})
      .describe('Roles of your own, each with its scopes, beside admin, operator, user and service.'),
    oidc: z.array(issuer).default([]).describe('Issuers of tokens that are taken as keys are.'),
  })
  .superRefine(({ roles, oidc }, ctx) => {
    const known = [...Object.keys(builtInRoles), ...Object.keys(roles)];
    const check = (names: readonly string[], path: (string | number)[]) => {
      for (const [i, name] of names.entries()) {
        if (known.includes(name)) continue;
        ctx.addIssue({
          code: 'custom',
          path: [...path, i],
          message: `there is no role ${name}.${didYouMean(name, known)}`,
        });
      }
    };
    for (const [i, { roles: mapping, issuer: name }] of oidc.entries()) {
      check(mapping.default, ['oidc', i, 'roles', 'default']);
      for (const [value, names] of Object.entries(mapping.map)) check(names, ['oidc', i, 'roles', 'map', value]);
      if (oidc.findIndex((one) => one.issuer === name) < i)
        ctx.addIssue({ code: 'custom', path: ['oidc', i, 'issuer'], message: 'this issuer stands here twice' });
    }
  })
  .prefault({})
  .describe('Who may do what.');

export type IssuerSettings = z.output<typeof issuer>;
