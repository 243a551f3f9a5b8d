import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ApiAuditEntry, ApiKey } from '#contracts/security-api';
import { fakePlatform, json } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const key = (changes: Partial<ApiKey> = {}): ApiKey => ({
  ...{
    keyId: 'key-3f2a9c01b7de',
    prefix: 'sutaz-AbCd',
    name: 'notebook',
    principal: 'ada',
    roles: ['user'],
    scopes: [],
  },
  ...{ createdAt: '2026-01-01T10:00:00.000Z', expiresAt: null, expired: false, lastUsedAt: null, replacedBy: null },
  ...changes,
});

describe('keys', () => {
  test('ls shows whose they are, what they may, and no key', async () => {
    const expiresAt = '2026-02-01T10:00:00.000Z';
    const list = [
      key({ lastUsedAt: '2026-01-02T11:30:00.000Z' }),
      key({ keyId: 'key-2', name: 'ci', roles: [], scopes: ['models:use:a*'], expiresAt, expired: true }),
      key({ keyId: 'key-3', expiresAt, replacedBy: 'key-4' }),
    ];
    platform.routes['GET /sutaz/v1/keys'] = json({ keys: list });
    const { code, out } = await platform.run(['keys', 'ls']);
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "ID                KEY            NAME      PRINCIPAL  STATE                   LAST USED         MAY
      key-3f2a9c01b7de  sutaz-AbCd...  notebook  ada        good                    2026-01-02 11:30  user
      key-2             sutaz-AbCd...  ci        ada        expired                 -                 models:use:a*
      key-3             sutaz-AbCd...  notebook  ada        until 2026-02-01 10:00  -                 user
      "
    `);
    expect(JSON.parse((await platform.run(['keys', 'ls', '--json'])).out)).toEqual({ keys: list });
  });

  test('create says what was asked for, and prints the key alone', async () => {
    platform.routes['POST /sutaz/v1/keys'] = json({ key: 'sutaz-secret', facts: key() }, 201);
    const options = ['--role', 'user, service', '--scope', 'keys', '--principal', 'ada', '--expires', '90d'];
    const { code, out, err } = await platform.run(['keys', 'create', 'notebook', ...options]);
    expect([code, out]).toEqual([0, 'sutaz-secret\n']);
    expect(err).toBe('key-3f2a9c01b7de for ada, good. It is not shown again.\n');
    const asked = {
      name: 'notebook',
      principal: 'ada',
      roles: ['user', 'service'],
      scopes: ['keys'],
      expiresIn: '90d',
    };
    expect(platform.asked.at(-1)?.body).toEqual(asked);
    await platform.run(['keys', 'create', 'plain', '--json']);
    expect(platform.asked.at(-1)?.body).toEqual({ name: 'plain' });
  });

  test('rotate and revoke name the key by its id', async () => {
    platform.routes['POST /sutaz/v1/keys/key-1/rotate'] = json({ key: 'sutaz-new', facts: key() }, 201);
    platform.routes['DELETE /sutaz/v1/keys/key-1'] = (res) => res.writeHead(204).end();
    expect((await platform.run(['keys', 'rotate', 'key-1', '--overlap', '0s'])).out).toBe('sutaz-new\n');
    expect(platform.asked.at(-1)?.body).toEqual({ overlap: '0s' });
    expect((await platform.run(['keys', 'revoke', 'key-1'])).out).toBe('key-1 is no key any more.\n');
    expect((await platform.run(['keys', 'revoke'])).code).toBe(2);
  });
});

describe('audit', () => {
  const entry: ApiAuditEntry = {
    ...{ at: '2026-01-02T11:30:00.000Z', what: 'revokeKey', target: 'key-1', status: 204, principal: 'ada' },
    ...{ keyId: 'key-3', from: '127.0.0.1', traceId: 't' },
  };

  test('shows who changed what', async () => {
    platform.routes['GET /sutaz/v1/audit'] = json({
      entries: [
        entry,
        {
          ...entry,
          what: 'configurationChanged',
          target: null,
          status: null,
          principal: null,
          keyId: null,
          from: null,
        },
      ],
    });
    const { code, out } = await platform.run(['audit', '--limit', '5', '--principal', 'ada']);
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "TIME                 WHO  KEY    FROM       STATUS  WHAT
      2026-01-02 11:30:00  ada  key-3  127.0.0.1  204     revokeKey key-1
      2026-01-02 11:30:00  -    -      -          -       configurationChanged
      "
    `);
    expect(platform.asked.at(-1)?.path).toBe('/sutaz/v1/audit?limit=5&principal=ada');
    expect((await platform.run(['audit', '--limit', 'many'])).code).toBe(2);
  });
});
