import { createHmac } from 'node:crypto';
import { exportSPKI, importJWK, UnsecuredJWT } from 'jose';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { security } from '#config/security';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { fetchJson } from './fetch-json.ts';
import { startIssuer } from './issuer.fake.ts';
import type { FakeIssuer } from './issuer.fake.ts';
import { createIssuers, isToken } from './issuers.ts';
import { createRoles } from './roles.ts';
import { allows } from './scopes.ts';

let issuer: FakeIssuer;
beforeEach(async () => {
  issuer = await startIssuer();
});
afterEach(() => issuer.close());

function opened(more: object = {}) {
  const clock = fakeClock(0, Date.now());
  const told: string[] = [];
  const log = {
    ...silentLogger,
    warn: (text: string) => void told.push(text),
    info: (text: string) => void told.push(text),
  };
  const roles = createRoles();
  const issuers = createIssuers({ clock, log, roles, fetchJson });
  const mapping = { claim: 'groups', map: { staff: ['user'], chiefs: ['admin'] } };
  const configure = (changes: object = {}) =>
    issuers.configure(
      security.parse({ oidc: [{ issuer: issuer.url, audience: 'sutaz', roles: mapping, ...more, ...changes }] }).oidc,
    );
  configure();
  const token = (claims = {}, options = {}) => issuer.token(claims, { at: clock.wall(), ...options });
  return { clock, told, issuers, configure, token };
}

describe('a token of an issuer', () => {
  it('is taken, and what it says of roles is what its holder may', async () => {
    const { issuers, token, clock } = opened();
    const made = await token({ groups: ['staff', 'others'], preferred_username: 'Ada' });
    const principal = await issuers.verify(made);
    expect(principal).toMatchObject({ id: `${issuer.url}#ada`, name: 'Ada', keyId: null, roles: ['user'] });
    expect(principal && allows(principal.rights, 'models:use', 'x')).toBe(true);
    expect(principal?.expiresAt).toBeGreaterThan(clock.wall() + 300_000);
    expect((await issuers.verify(await token()))?.rights.scopes).toEqual([]);
  });

  it('is looked at once a minute, and no longer than it lasts', async () => {
    const { issuers, token, clock } = opened();
    const made = await token({}, { life: 90 });
    await issuers.verify(made);
    expect(issuers.known(made)?.id).toContain('#ada');
    clock.advance(60_000);
    expect(issuers.known(made)).toBeNull();
    await issuers.verify(made);
    clock.advance(59_000);
    expect(issuers.known(made)?.id).toContain('#ada');
    clock.advance(61_000);
    expect([issuers.known(made), await issuers.verify(made)]).toEqual([null, null]);
  });

  it.each([
    ['another audience', { aud: 'other' }, {}],
    ['no audience', { aud: undefined }, {}],
    ['another issuer', { iss: 'https://elsewhere.example' }, {}],
    ['nobody', { sub: undefined }, {}],
    ['no end', { exp: undefined }, {}],
    ['an end that is over', {}, { life: -31 }],
    ['a beginning to come', { nbf: Math.floor(Date.now() / 1000) + 90 }, {}],
  ])('that has %s is refused', async (_, claims, options) => {
    const { issuers, token } = opened();
    expect(await issuers.verify(await token(claims, options))).toBeNull();
  });

  it('may be off by the leeway, in both directions', async () => {
    const { issuers, token } = opened();
    const soon = Math.floor(Date.now() / 1000) + 20;
    expect(await issuers.verify(await token({ nbf: soon }))).not.toBeNull();
    expect(await issuers.verify(await token({}, { life: -20 }))).not.toBeNull();
    expect(await opened({ leeway: '0s' }).issuers.verify(await token({}, { life: -20 }))).toBeNull();
  });

  it('that is not signed, signed with a public key as a secret, or by an algorithm not wanted is refused', async () => {
    const { issuers, token } = opened();
    const claims = {
      iss: issuer.url,
      aud: 'sutaz',
      sub: 'ada',
      exp: Math.floor(Date.now() / 1000) + 300,
      groups: ['chiefs'],
    };
    expect(await issuers.verify(new UnsecuredJWT(claims).encode())).toBeNull();
    const none = `${new UnsecuredJWT(claims).encode()}eA`;
    expect([isToken(none), await issuers.verify(none)]).toEqual([true, null]);
    const pem = await exportSPKI((await importJWK(await issuer.publicKey('first'), 'ES256')) as never);
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const head = `${part({ alg: 'HS256', kid: 'first' })}.${part(claims)}`;
    expect(await issuers.verify(`${head}.${createHmac('sha256', pem).update(head).digest('base64url')}`)).toBeNull();
    await issuer.addKey('other', 'ES512');
    expect(await issuers.verify(await token({}, { algorithm: 'ES512' }))).toBeNull();
    const good = await token({ groups: ['staff'] }, { kid: 'first' });
    const [a, , c] = good.split('.');
    expect(await issuers.verify(`${a}.${part(claims)}.${c}`)).toBeNull();
  });

  it('that is none costs nothing, and the issuer is not asked', async () => {
    const { issuers } = opened();
    for (const text of ['', 'sutaz-abc', 'a.b', 'a.b.c.d', 'a.b.c', 'x'.repeat(20_000)])
      expect(await issuers.verify(text)).toBeNull();
    expect(issuer.asked()).toBe(0);
  });
});

describe('keys of an issuer', () => {
  it('are changed while it runs: the new one is taken at once, the old one ends', async () => {
    const { issuers, token, clock } = opened();
    expect(await issuers.verify(await token())).not.toBeNull();
    const old = await token({ sub: 'bob' });
    await issuer.addKey('second');
    clock.advance(30_000);
    expect(await issuers.verify(await token())).not.toBeNull();
    issuer.withdrawKey('first');
    expect(await issuers.verify(old)).not.toBeNull();
    clock.advance(600_000);
    // The look that is due is nobody's to wait for: this one is still taken by what is kept.
    const late = () => token({ sub: 'bob' }, { kid: 'first' });
    const asked = issuer.asked();
    expect(await issuers.verify(await late())).not.toBeNull();
    while (issuer.asked() < asked + 2 || (await issuers.verify(await late()))) await new Promise(setImmediate);
    expect(await issuers.verify(await token())).not.toBeNull();
  });

  it('are asked for once in a while only, whatever tokens name', async () => {
    const { issuers, token, clock } = opened();
    await issuers.verify(await token());
    const before = issuer.asked();
    await issuer.addKey('unknown');
    const strange = await token();
    issuer.withdrawKey('unknown');
    for (let i = 0; i < 20; i++) expect(await issuers.verify(strange)).toBeNull();
    expect(issuer.asked()).toBe(before);
    clock.advance(30_000);
    for (let i = 0; i < 20; i++) expect(await issuers.verify(strange)).toBeNull();
    expect(issuer.asked()).toBe(before + 2);
  });

  it('that cannot be fetched are told of once, with when to ask again; kept ones go on for a day', async () => {
    const { issuers, token, clock, told } = opened();
    issuer.answer(false);
    const first = await token();
    const refusal = { code: 'UPSTREAM_FAILED', retryAfter: 30 };
    await expect(issuers.verify(first)).rejects.toMatchObject(refusal);
    const asked = issuer.asked();
    await expect(issuers.verify(first)).rejects.toMatchObject(refusal);
    expect([issuer.asked(), told.length, issuers.status()[0]?.problem]).toEqual([asked, 1, expect.any(String)]);
    issuer.answer(true);
    clock.advance(30_000);
    expect(await issuers.verify(first)).not.toBeNull();
    expect(issuers.status()).toEqual([{ issuer: issuer.url, problem: null }]);
    issuer.answer(false);
    clock.advance(3_600_000);
    expect(await issuers.verify(await token())).not.toBeNull();
    clock.advance(24 * 3_600_000);
    await expect(issuers.verify(await token())).rejects.toMatchObject({ code: 'UPSTREAM_FAILED' });
  });

  it.each([
    ['<html>', 'answered with something else than JSON'],
    ['{"keys":{}}', 'has no set of keys'],
    ['{"keys":[{"kty":"EC"},{"kid":"x"}]}', 'number 2 of its keys is none'],
  ])('that are %s are told of when somebody looks, and a look keeps no token from being tried', async (text, why) => {
    const { issuers, token } = opened();
    issuer.garble(text);
    await issuers.look();
    expect(issuers.status()).toEqual([
      { issuer: issuer.url, problem: expect.stringContaining(`${issuer.url}/keys`) as string },
    ]);
    expect(issuers.status()[0]?.problem).toContain(why);
    issuer.garble(null);
    expect(await issuers.verify(await token())).not.toBeNull();
    expect(issuers.status()[0]?.problem).toBeNull();
  });

  it('of an issuer that is not there are told of with its address', async () => {
    const { issuers, configure } = opened();
    configure({ issuer: 'http://127.0.0.1:1' });
    await issuers.look();
    const { problem } = issuers.status()[0] ?? {};
    expect(problem).toMatch(
      /^http:\/\/127\.0\.0\.1:1\/\.well-known\/openid-configuration cannot be reached: .*ECONNREFUSED/,
    );
  });

  it('of a description that is of somebody else are not taken', async () => {
    const { issuers, configure } = opened();
    const other = issuer.url.replace('127.0.0.1', 'localhost');
    configure({ issuer: other });
    await expect(issuers.verify(await issuer.token({ iss: other }))).rejects.toMatchObject({ code: 'UPSTREAM_FAILED' });
    expect(issuers.status()[0]?.problem).toContain('is the description of');
  });

  it('and what they gave are forgotten with the issuer', async () => {
    const { issuers, token } = opened();
    const made = await token();
    await issuers.verify(made);
    issuers.configure([]);
    expect([issuers.known(made), await issuers.verify(made)]).toEqual([null, null]);
  });
});

describe('roles', () => {
  it.each([
    [{ groups: ['staff'] }, 'groups', ['user']],
    [{ groups: 'staff chiefs' }, 'groups', ['user', 'admin']],
    [{ realm_access: { roles: ['chiefs'] } }, 'realm_access.roles', ['admin']],
    [{ 'https://x.example/roles': ['chiefs'] }, 'https://x.example/roles', ['admin']],
    [{ groups: ['constructor', 7] }, 'groups', []],
    [{ groups: { staff: true } }, 'groups', []],
  ])('of %j by %s are %j', async (claims, claim, roles) => {
    const map = { staff: ['user'], chiefs: ['admin'] };
    const { issuers, token } = opened({ roles: { claim, map } });
    expect((await issuers.verify(await token(claims)))?.roles).toEqual(roles);
  });
});
