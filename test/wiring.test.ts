import { execFileSync, spawnSync } from 'node:child_process';
import { createServer } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { ApiEvent } from '#contracts/api';
import type { ApiMap } from '#contracts/map-api';
import { followEvents, root, startPlatform } from './_platform.ts';
import type { StartOptions, TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

let platform: TestPlatform;
const start = async (options: StartOptions) => (platform = await startPlatform(options));
afterEach(async () => void (await platform.stop()));

/** A service that answers with what it was told of what it consumes: its variables named X_... */
const consumer = (id: string, consumes: string, more = '') => `id: ${id}
name: ${id}
summary: Tells what it was told
category: tool
run: { process: { command: [node, '${root}test/wired.mjs', '{port}'] } }
health: { http: /, startupTimeout: 20s }
resources: { memory: 64MiB }
consumes:
${consumes}
${more}`;

async function told(id: string): Promise<Record<string, string>> {
  const answer = await platform.fetch(`/services/${id}/`);
  expect(answer.status, await answer.clone().text()).toBe(200);
  return (await answer.json()) as Record<string, string>;
}

async function stop(unit: string): Promise<void> {
  await platform.fetch(`/sutaz/v1/units/${unit}/stop`, { method: 'POST' });
  await platform.untilState(unit, 'cold');
}

const has = (program: string) => spawnSync('which', [program]).status === 0;

const provider = (id: string) => `id: ${id}
name: ${id}
summary: Makes accounts
category: infra
run: { process: { command: [node, '${root}test/wired.mjs', '{port}'], env: { X_SECRET: '{secret}' } } }
health: { http: /, startupTimeout: 20s }
resources: { memory: 64MiB }
provides: [sql.test]
grants:
  sql.test:
    command: [node, -e, 'console.log("number=" + process.env.ACCOUNT.length)']
    env: { ACCOUNT: '{account}' }
    values: { url: '${id}://{account}:{account.secret}@{host}:{port}/{made.number}' }
`;

describe('what a service consumes', () => {
  const catalog = {
    'services/a-store.yaml': provider('a-store'),
    'services/b-store.yaml': provider('b-store'),
    'services/page.yaml': consumer('page', '', 'provides: [web.test]').replace('consumes:\n\n', ''),
    'services/app.yaml': consumer(
      'app',
      "  sql.test: { X_SQL: '{sql.test.url}' }\n  web.test: { X_WEB: '{web.test.url}', X_KEY: '{key}' }",
    ),
  };

  it('is bound at its start, held awake where it has an account there, and asked through the door elsewhere', async () => {
    await start({ catalog });
    const { X_SQL = '', X_WEB = '', X_KEY = '' } = await told('app');
    const endpoint = await platform.unit('a-store');
    expect(X_SQL).toMatch(new RegExp(`^a-store://app:[0-9a-f]{64}@127.0.0.1:${endpoint.instance?.port}/3$`));
    expect(endpoint.leases).toBe(1);
    expect(X_WEB).toBe(`${platform.url}/services/page`);
    expect((await platform.unit('page')).state).toBe('cold');
    const headers = { authorization: `Bearer ${X_KEY}` };
    expect((await fetch(`${X_WEB}/`, { headers })).status).toBe(200);
    expect((await fetch(`${platform.url}/services/b-store/`, { headers })).status).toBe(403);
    const { edges, shared } = (await (await platform.fetch('/sutaz/v1/map')).json()) as ApiMap;
    const ofApp = edges.filter(({ from }) => from === 'service/app');
    expect(ofApp.map(({ to, capability, way, requests }) => ({ to, capability, way, requests }))).toEqual([
      { to: 'service/a-store', capability: 'sql.test', way: 'direct', requests: null },
      { to: 'service/page', capability: 'web.test', way: 'door', requests: 1 },
    ]);
    expect(X_KEY.startsWith(ofApp[0]?.key ?? 'none')).toBe(true);
    expect(JSON.stringify(edges)).not.toContain(X_KEY);
    expect(shared.map(({ provider, users }) => ({ provider, users }))).toEqual([
      { provider: 'service/a-store', users: ['service/app'] },
    ]);
    // The key ends with its instance, the secret does not.
    await stop('app');
    expect((await fetch(`${X_WEB}/`, { headers })).status).toBe(401);
    expect((await platform.unit('a-store')).leases).toBe(0);
    const again = await told('app');
    expect(again.X_SQL).toBe(X_SQL);
    expect(again.X_KEY).not.toBe(X_KEY);
  });

  it('is what the configuration says where several provide it; what it names wrongly is told by the start', async () => {
    await start({
      catalog,
      config: 'bindings: { sql.test: b-store }\nservices:\n  app: { bindings: { web.test: a-store } }\n',
    });
    const answer = await platform.fetch('/services/app/');
    expect(answer.status).toBe(503);
    expect(await answer.text()).toContain(
      'app consumes web.test, which sutaz.yaml binds to a-store: that does not provide it',
    );
    await platform.stop();
    await start({ catalog, config: 'bindings: { sql.test: b-store }\n' });
    expect((await told('app')).X_SQL).toMatch(/^b-store:/);
    expect((await platform.unit('a-store')).state).toBe('cold');
  });
});

it('a model that was asked with the key of an instance is seen as what that consumes', async () => {
  const asks = consumer('asks', "  openai: { X_URL: '{openai.url}', X_KEY: '{key}' }");
  await start({ catalog: { 'services/asks.yaml': asks } });
  const { X_URL, X_KEY = '' } = await told('asks');
  const headers = { authorization: `Bearer ${X_KEY}`, 'content-type': 'application/json' };
  const body = JSON.stringify({ model: 'smollm2:135m', max_tokens: 3, messages: [{ role: 'user', content: 'Hi' }] });
  const answer = await fetch(`${X_URL}/chat/completions`, { method: 'POST', headers, body });
  expect(answer.status, await answer.clone().text()).toBe(200);
  // Whoever is no instance is no consumer.
  await platform.fetch('/v1/chat/completions', { method: 'POST', body });
  const { edges, nodes } = (await (await platform.fetch('/sutaz/v1/map')).json()) as ApiMap;
  expect(edges.filter(({ requests }) => requests)).toEqual([
    {
      ...{ from: 'service/asks', to: 'model/smollm2:135m', capability: 'openai', way: 'door', requests: 1 },
      ...{ lastSeen: expect.stringMatching(/^20\d\d-.*Z$/), key: X_KEY.slice(0, 12) },
    },
  ]);
  expect(nodes).toContainEqual({ id: 'model/smollm2:135m', kind: 'model', name: 'smollm2:135m', state: 'ready' });
});

it('a program that is not on the machine is told of by what a person can do, once', async () => {
  const lacking = consumer('lacking', '')
    .replace('consumes:\n\n', '')
    .replace('process: {', 'process: { requires: { no-such-server: apt install it },');
  await start({ catalog: { 'services/lacking.yaml': lacking } });
  const answer = await platform.fetch('/services/lacking/');
  expect(await answer.text()).toContain('no-such-server is not on this machine. To have it: apt install it.');
});

describe.skipIf(!has('redis-server'))('a database that was killed', () => {
  const catalog = {
    'services/app.yaml': consumer('app', "  redis: { X_REDIS: '{redis.url}' }"),
  };
  const redis = (url: string, ...words: string[]) =>
    execFileSync('redis-cli', ['--no-auth-warning', '-u', url, ...words], { encoding: 'utf8' }).trim();
  const killed = async () => {
    const { instance } = await platform.unit('redis');
    process.kill(instance?.pid ?? 0, 'SIGKILL');
    // Nobody asks for it but the platform, for the sake of the one that stands on it.
    await until(async () => {
      const { state, instance: now } = await platform.unit('redis');
      return state === 'ready' && now !== null && now.id !== instance?.id;
    }, 'redis to be back');
    return instance?.port ?? 0;
  };

  it('comes back by itself where it was, so that its consumer goes on with the address that it was told', async () => {
    await start({ catalog });
    const { X_REDIS = '' } = await told('app');
    const { instance } = await platform.unit('app');
    expect(redis(X_REDIS, 'SET', 'k', 'one')).toBe('OK');
    for (let i = 0; i < 2; i++) {
      await killed();
      expect(redis(X_REDIS, 'GET', 'k')).toBe('one');
    }
    expect((await platform.unit('redis')).leases).toBe(1);
    expect((await platform.unit('app')).instance?.id).toBe(instance?.id);
    // It sleeps, with its consumer, and both wake: the same.
    for (const unit of ['app', 'redis']) await stop(unit);
    expect((await told('app')).X_REDIS).toBe(X_REDIS);
    expect(redis(X_REDIS, 'GET', 'k')).toBe('one');
  });

  it('and whose port somebody else took has its consumer told anew', async () => {
    await start({ catalog });
    const { X_REDIS = '' } = await told('app');
    const { instance } = await platform.unit('app');
    const events = followEvents(platform);
    const port = Number(new URL(X_REDIS).port);
    process.kill((await platform.unit('redis')).instance?.pid ?? 0, 'SIGKILL');
    const other = createServer();
    await until(
      () =>
        new Promise<boolean>((done) => {
          other.once('error', () => done(false)).listen(port, '127.0.0.1', () => done(true));
        }),
      'the port to be taken by another',
    );
    try {
      await until(async () => {
        const now = await platform.unit('app');
        return now.state === 'ready' && now.instance !== null && now.instance.id !== instance?.id;
      }, 'its consumer to be started again');
      const again = (await told('app')).X_REDIS ?? '';
      expect(new URL(again).port).not.toBe(String(port));
      expect(redis(again, 'PING')).toBe('PONG');
      const moved = events.seen.map(({ data }) => data as ApiEvent).filter(({ type }) => type === 'moved');
      expect(moved).toMatchObject([{ unit: 'service/app', message: expect.stringContaining('service/redis') }]);
    } finally {
      other.close();
      await events.stop();
    }
  });
});

const servers = ['psql', 'redis-server', 'redis-cli'].every(has);
describe.skipIf(!servers)('one PostgreSQL and one Redis', () => {
  const consumes = "  postgres: { X_SQL: '{postgres.url}' }\n  redis: { X_REDIS: '{redis.url}' }";
  const sql = (url: string, command: string) =>
    spawnSync('psql', ['--no-psqlrc', '-Atqc', command, url], { encoding: 'utf8' });
  const redis = (url: string, ...words: string[]) =>
    execFileSync('redis-cli', ['--no-auth-warning', '-u', url, ...words], { encoding: 'utf8' }).trim();

  it('serve two consumers, who reach what is theirs and nothing else, and keep it', async () => {
    const catalog = {
      'services/app-one.yaml': consumer('app-one', consumes),
      'services/app-two.yaml': consumer('app-two', consumes),
    };
    await start({ catalog });
    const [one, two] = await Promise.all([told('app-one'), told('app-two')]);
    const [mine, theirs] = [one.X_SQL ?? '', two.X_SQL ?? ''];
    expect(sql(mine, 'CREATE TABLE t (a int); INSERT INTO t VALUES (7); SELECT current_user').stdout).toBe('app_one\n');
    expect(sql(theirs, 'SELECT * FROM t').stderr).toContain('does not exist');
    expect(sql(mine.replace(/app_one$/, 'app_two'), 'SELECT 1').stderr).toContain('permission denied for database');
    expect(redis(one.X_REDIS ?? '', 'SET', 'k', 'one')).toBe('OK');
    expect(redis(two.X_REDIS ?? '', 'GET', 'k')).toBe('');
    const number = new URL(two.X_REDIS ?? '').pathname.slice(1);
    expect(redis(one.X_REDIS ?? '', 'SELECT', number)).toContain('NOPERM');
    const { shared } = (await (await platform.fetch('/sutaz/v1/map')).json()) as ApiMap;
    for (const provider of ['service/postgres', 'service/redis']) {
      const one = shared.find((each) => each.provider === provider);
      expect(one?.users.toSorted()).toEqual(['service/app-one', 'service/app-two']);
      expect(one?.bytes).toBeGreaterThan(2 ** 20);
      expect(one?.sparedBytes).toBe(one?.bytes);
    }
    const seen = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' });
    for (const url of [one.X_SQL, one.X_REDIS]) expect(seen).not.toContain(new URL(url ?? '').password);
    for (const unit of ['app-one', 'app-two', 'postgres', 'redis']) {
      await stop(unit);
    }
    const again = await told('app-one');
    expect(sql(again.X_SQL ?? '', 'SELECT a FROM t').stdout).toBe('7\n');
    expect(redis(again.X_REDIS ?? '', 'GET', 'k')).toBe('one');
  });
});
