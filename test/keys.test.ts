import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiAuditList, ApiKeyList, ApiMadeKey } from '#contracts/security-api';
import { startIssuer } from '#security/issuer.fake';
import type { FakeIssuer } from '#security/issuer.fake';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

let platform: TestPlatform;
let issuer: FakeIssuer;

const configWith = (groups: string) => `security:
  roles: { watcher: [state:read, metrics:read] }
  oidc:
    - { issuer: "${issuer.url}", audience: sutaz, roles: { claim: groups, map: ${groups} } }
`;
beforeAll(async () => {
  issuer = await startIssuer();
  platform = await startPlatform({
    config: configWith('{ staff: [watcher] }'),
    catalog: { 'services/shown.yaml': echoService('shown', { dir: `${root}test` }) },
  });
});
afterAll(async () => {
  await platform.stop();
  await issuer.close();
});

const get = async (key: string, path = '/sutaz/v1/state') =>
  (await fetch(platform.url + path, { headers: { authorization: `Bearer ${key}` } })).status;
const send = (path: string, body: object = {}, method = 'POST') =>
  platform.fetch(path, { method, body: JSON.stringify(body), headers: { 'content-type': 'application/json' } });
const made = async (ask: object) => (await (await send('/sutaz/v1/keys', ask)).json()) as ApiMadeKey;

describe('keys', () => {
  it('are made, rotated and revoked over the API, and each is a line of the audit log', async () => {
    const first = await made({ name: 'laptop', principal: 'ada', roles: ['watcher'], expiresIn: '1d' });
    expect([await get(first.key), await get(first.key, '/v1/models')]).toEqual([200, 403]);
    const rotated = await send(`/sutaz/v1/keys/${first.facts.keyId}/rotate`, { overlap: '1h' });
    const second = (await rotated.json()) as ApiMadeKey;
    expect([await get(first.key), await get(second.key)]).toEqual([200, 200]);
    expect((await send(`/sutaz/v1/keys/${first.facts.keyId}`, {}, 'DELETE')).status).toBe(204);
    expect([await get(first.key), await get(second.key)]).toEqual([401, 200]);
    const { keys } = (await (await platform.fetch('/sutaz/v1/keys')).json()) as ApiKeyList;
    expect(keys.find(({ keyId }) => keyId === second.facts.keyId)).toMatchObject({ principal: 'ada', expired: false });
    const audit = async () => (await (await platform.fetch('/sutaz/v1/audit')).json()) as ApiAuditList;
    const whole = await audit();
    const { keyId } = first.facts;
    expect(whole.entries.slice(0, 3)).toMatchObject([
      { what: 'revokeKey', target: keyId, status: 204, principal: 'admin', from: '127.0.0.1' },
      { what: 'rotateKey', target: keyId, status: 201, details: { keyId: second.facts.keyId } },
      { what: 'createKey', target: null, status: 201, details: { keyId, principal: 'ada', roles: ['watcher'] } },
    ]);
    const file = join(platform.home, 'logs', 'audit.jsonl');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const text = await readFile(file, 'utf8');
    for (const secret of [first.key, second.key, platform.key]) expect(text).not.toContain(secret);
  });

  it('of a clerk make none that may more, and the refusal is written down', async () => {
    const clerk = await made({ name: 'clerk', scopes: ['keys', 'state:read'] });
    const ask = async (body: object) =>
      (
        await fetch(`${platform.url}/sutaz/v1/keys`, {
          method: 'POST',
          body: JSON.stringify(body),
          headers: { authorization: `Bearer ${clerk.key}` },
        })
      ).status;
    expect(await ask({ name: 'x', roles: ['admin'] })).toBe(403);
    expect(await ask({ name: 'x', scopes: ['state:read'] })).toBe(201);
    const asked = await platform.fetch('/sutaz/v1/audit?principal=clerk&limit=2');
    const { entries } = (await asked.json()) as ApiAuditList;
    expect(entries.map(({ status, keyId }) => [status, keyId])).toEqual([
      [201, clerk.facts.keyId],
      [403, clerk.facts.keyId],
    ]);
  });

  it('take their sessions in browsers with them', async () => {
    const key = await made({ name: 'browser', roles: ['user'] });
    const headers = { authorization: `Bearer ${key.key}` };
    const linked = await fetch(`${platform.url}/sutaz/v1/console-links`, { method: 'POST', headers });
    const opened = await fetch(((await linked.json()) as { url: string }).url, { redirect: 'manual' });
    const cookie = opened.headers.get('set-cookie')?.split(';')[0] ?? '';
    const seen = async (path = '/sutaz/v1/state') => (await fetch(platform.url + path, { headers: { cookie } })).status;
    expect([await seen(), await seen('/sutaz/v1/keys')]).toEqual([200, 403]);
    await send(`/sutaz/v1/keys/${key.facts.keyId}`, {}, 'DELETE');
    expect(await seen()).toBe(401);
  });
});

describe('tokens of an issuer', () => {
  it('are taken as keys are, while its keys change', async () => {
    const first = await issuer.token({ groups: ['staff'] });
    expect([await get(first), await get(first, '/metrics'), await get(first, '/v1/models')]).toEqual([200, 200, 403]);
    expect(await get(await issuer.token({ groups: ['others'] }))).toBe(403);
    expect(await get(await issuer.token({ aud: 'other', groups: ['staff'] }))).toBe(401);
    await issuer.addKey('second');
    const second = await issuer.token({ groups: ['staff'] });
    // Anybody can name a key that is not there: the issuer is asked for new ones twice a minute at most.
    await until(async () => (await get(second)) === 200, 'the new key of the issuer to be taken', 45_000);
    expect(await get(await issuer.token({ groups: ['staff'], sub: 'bob' }, { kid: 'first' }))).toBe(200);
  });

  it('have the roles that the configuration gives them now', async () => {
    const token = await issuer.token({ groups: ['staff'], sub: 'eve' });
    expect(await get(token, '/v1/models')).toBe(403);
    await writeFile(join(platform.home, 'sutaz.yaml'), configWith('{ staff: [user] }'));
    await until(async () => (await get(token, '/v1/models')) === 200, 'the new roles to be taken up', 10_000);
    const { entries } = (await (
      await platform.fetch('/sutaz/v1/audit?what=configurationChanged')
    ).json()) as ApiAuditList;
    expect(entries[0]).toMatchObject({ details: { keys: ['security'] } });
  });
});

describe('R22 key-flood', () => {
  /** The status of one request over a connection of its own, from an address of this machine's own. */
  const flood = (key: string, from: string): Promise<number> =>
    new Promise((resolve, reject) => {
      const options = { host: '127.0.0.1', port: platform.port, localAddress: from, agent: false };
      const headers = { authorization: `Bearer ${key}` };
      const req = request({ ...options, path: '/services/shown/hit', headers }, (res) => {
        res.resume().on('end', () => resolve(res.statusCode ?? 0));
      });
      req.on('error', reject).end();
    });
  const rss = async (): Promise<number> => {
    const status = await readFile(`/proc/${platform.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) * 1024;
  };

  it('reaches no service, leaves memory as it was, and keeps nobody with a right key out', async () => {
    const wave = async (count: number, seed: string) => {
      const seen = new Map<number, number>();
      for (let i = 0; i < count; i += 50) {
        const keys = Array.from({ length: 50 }, (_, j) => `sutaz-${seed}-${i + j}`);
        // From a hundred addresses, one of which is the owner's.
        const all = await Promise.all(keys.map((key, j) => flood(key, `127.0.0.${1 + ((i + j) % 100)}`)));
        for (const status of all) seen.set(status, (seen.get(status) ?? 0) + 1);
      }
      return seen;
    };
    // The heap takes what it may before it is tidied, whoever asks: that is waited for first.
    let before = 0;
    for (let i = 0, now = await rss(); i < 10 && now > before * 1.03; i++) {
      before = now;
      await wave(12_000, `warm${i}`);
      now = await rss();
    }
    before = await rss();
    const seen = await wave(12_000, 'flood');
    expect([...seen.keys()].filter((status) => status !== 401 && status !== 429)).toEqual([]);
    expect(seen.get(429)).toBeGreaterThan(6_000);
    expect((await rss()) / before).toBeLessThan(1.1);
    expect((await platform.unit('shown')).state).toBe('cold');
    expect(await flood(platform.key, '127.0.0.1')).toBe(200);
    const { entries } = (await (await platform.fetch('/sutaz/v1/audit?what=signInRefused')).json()) as ApiAuditList;
    expect(entries.length).toBeGreaterThan(50);
    const told = await platform.fetch('/v1/models', { headers: { authorization: 'Bearer sutaz-wrong' } });
    expect([told.status, Number(told.headers.get('retry-after'))]).toEqual([429, expect.any(Number)]);
    expect(((await told.json()) as { error: { type: string } }).error.type).toBe('rate_limit_error');
  }, 120_000);
});

it('an issuer that is out of reach keeps no platform from starting: state, ps and doctor name it, and a key is taken', async () => {
  const home = await mkdtemp(join(tmpdir(), 'sutaz-issuer-'));
  const gone = 'http://127.0.0.1:1';
  const config = `security: { oidc: [{ issuer: "${gone}", audience: sutaz }, { issuer: "${issuer.url}", audience: sutaz }] }\n`;
  const other = await startPlatform({ home, config });
  const sutaz = (...words: string[]) =>
    promisify(execFile)(process.execPath, [
      ...['--conditions=source', '--disable-warning=ExperimentalWarning', join(root, 'src/cli.ts')],
      ...[...words, '--home', home],
    ]);
  try {
    const told = async () => (await other.state()).platform.issuers ?? [];
    await until(async () => (await told()).length === 1, 'it to be told of');
    expect(await told()).toEqual([{ issuer: gone, problem: expect.stringContaining('ECONNREFUSED') as string }]);
    expect((await sutaz('ps')).stdout).toContain(`Issuer ${gone}: `);
    const { stdout } = await sutaz('doctor', '--json').catch((error: { stdout: string }) => error);
    const { checks } = JSON.parse(stdout) as { checks: { name: string; verdict: string; text: string }[] };
    expect(checks.filter(({ name }) => name === 'issuer')).toMatchObject([
      { verdict: 'warn', text: expect.stringContaining(`${gone}: `) as string },
      { verdict: 'ok', text: expect.stringContaining(issuer.url) as string },
    ]);
  } finally {
    await other.stop();
    await rm(home, { recursive: true, force: true });
  }
});
