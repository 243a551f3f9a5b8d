import { once } from 'node:events';
import { request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import type { ClientHttp2Session } from 'node:http2';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiMadeKey } from '#contracts/security-api';
import { guards } from '#edge/guards';
import { openHttp2WebSocket } from '#edge/protocols/websocket-client.fake';
import { echoService, root, startPlatform } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';

/** What a key must be good for; `open` needs none, for `any` any key will do. `units` is a service's, which `services:manage` is enough for. */
type Need =
  | 'open'
  | 'any'
  | 'models:use'
  | 'models:manage'
  | 'services:use'
  | 'services:manage'
  | 'units'
  | 'jobs:run'
  | 'state:read'
  | 'metrics:read'
  | 'audit:read'
  | 'keys'
  | 'console'
  | 'platform:manage';

interface Row {
  readonly need: Need;
  /** What is asked in the place of the pattern, harmless for who may. */
  readonly ask?: string;
  readonly body?: object;
  /** What somebody who may gets. */
  readonly answers: number;
}

/** Every address of the door, with what it asks for: written by hand, beside what the code says. */
const table: Readonly<Record<string, Row>> = {
  'ANY /healthz': { need: 'open', answers: 200 },
  'ANY /readyz': { need: 'open', answers: 200 },
  'GET /': { need: 'open', answers: 200 },
  'GET /docs': { need: 'open', answers: 200 },
  'GET /console': { need: 'open', answers: 308 },
  'GET /console/{+page}': { need: 'open', ask: '/console/open?ticket=none', answers: 401 },
  'POST /v1/chat/completions': { need: 'models:use', body: {}, answers: 400 },
  'POST /v1/completions': { need: 'models:use', body: {}, answers: 400 },
  'POST /v1/embeddings': { need: 'models:use', body: {}, answers: 400 },
  'POST /v1/responses': { need: 'models:use', body: {}, answers: 400 },
  'GET /v1/models': { need: 'models:use', answers: 200 },
  'GET /v1/models/{+name}': { need: 'models:use', ask: '/v1/models/default', answers: 200 },
  'POST /v1/messages': { need: 'models:use', body: {}, answers: 400 },
  'POST /v1/messages/count_tokens': { need: 'models:use', body: {}, answers: 400 },
  'POST /v1/rerank': { need: 'models:use', body: {}, answers: 400 },
  'POST /v2/rerank': { need: 'models:use', body: {}, answers: 400 },
  'POST /rerank': { need: 'models:use', body: {}, answers: 400 },
  'POST /api/chat': { need: 'models:use', body: {}, answers: 400 },
  'POST /api/generate': { need: 'models:use', body: {}, answers: 400 },
  'POST /api/embed': { need: 'models:use', body: {}, answers: 400 },
  'POST /api/embeddings': { need: 'models:use', body: {}, answers: 400 },
  'POST /api/show': { need: 'models:use', body: {}, answers: 400 },
  'GET /api/tags': { need: 'models:use', answers: 200 },
  'GET /api/ps': { need: 'models:use', answers: 200 },
  'GET /api/version': { need: 'models:use', answers: 200 },
  'POST /api/pull': { need: 'models:manage', body: { model: 'nothing' }, answers: 404 },
  'POST /api/copy': { need: 'models:manage', body: {}, answers: 501 },
  'POST /api/create': { need: 'models:manage', body: {}, answers: 501 },
  'POST /api/push': { need: 'models:manage', body: {}, answers: 501 },
  'DELETE /api/delete': { need: 'models:manage', body: { model: 'nothing' }, answers: 404 },
  'ANY /services/{name}': { need: 'services:use', ask: '/services/shown', answers: 308 },
  'ANY /services/{name}/{+path}': { need: 'services:use', ask: '/services/shown/x', answers: 200 },
  'POST /mcp': { need: 'any', body: {}, answers: 415 },
  'GET /metrics': { need: 'metrics:read', answers: 200 },
  'GET /sutaz/v1/openapi.json': { need: 'open', answers: 200 },
  'GET /sutaz/v1/state': { need: 'state:read', answers: 200 },
  'GET /sutaz/v1/events': { need: 'state:read', answers: 200 },
  'GET /sutaz/v1/ledger': { need: 'state:read', answers: 200 },
  'GET /sutaz/v1/limits': { need: 'state:read', answers: 200 },
  'GET /sutaz/v1/cache': { need: 'state:read', answers: 200 },
  'DELETE /sutaz/v1/cache': { need: 'models:manage', answers: 200 },
  'GET /sutaz/v1/map': { need: 'state:read', answers: 200 },
  'GET /sutaz/v1/environments': { need: 'state:read', answers: 200 },
  'POST /sutaz/v1/environments/prune': { need: 'services:manage', body: { dryRun: true }, answers: 200 },
  'GET /sutaz/v1/upstreams': { need: 'state:read', answers: 200 },
  'GET /sutaz/v1/savings': { need: 'state:read', answers: 200 },
  'GET /sutaz/v1/plan': { need: 'state:read', ask: '/sutaz/v1/plan?unit=shown', answers: 200 },
  'GET /sutaz/v1/catalog': { need: 'state:read', answers: 200 },
  'GET /sutaz/v1/catalog/{name}': { need: 'state:read', ask: '/sutaz/v1/catalog/shown', answers: 200 },
  'POST /sutaz/v1/console-links': { need: 'console', answers: 201 },
  'POST /sutaz/v1/restart': { need: 'platform:manage', answers: 202 },
  'POST /sutaz/v1/shutdown': { need: 'platform:manage', answers: 202 },
  'GET /sutaz/v1/units/{name}': { need: 'state:read', ask: '/sutaz/v1/units/shown', answers: 200 },
  'GET /sutaz/v1/units/{name}/why': { need: 'state:read', ask: '/sutaz/v1/units/shown/why', answers: 200 },
  'POST /sutaz/v1/units/{name}/start': { need: 'units', ask: '/sutaz/v1/units/shown/start', answers: 202 },
  'POST /sutaz/v1/units/{name}/stop': { need: 'units', ask: '/sutaz/v1/units/kept/stop?force=true', answers: 200 },
  'POST /sutaz/v1/units/{name}/move': { need: 'units', ask: '/sutaz/v1/units/shown/move?to=process', answers: 202 },
  'POST /sutaz/v1/units/{name}/pin': { need: 'units', ask: '/sutaz/v1/units/shown/pin', answers: 200 },
  'POST /sutaz/v1/units/{name}/unpin': { need: 'units', ask: '/sutaz/v1/units/shown/unpin', answers: 200 },
  'GET /sutaz/v1/units/{name}/logs': { need: 'units', ask: '/sutaz/v1/units/shown/logs', answers: 200 },
  'GET /sutaz/v1/models': { need: 'models:use', answers: 200 },
  'GET /sutaz/v1/models/{name}': { need: 'models:use', ask: '/sutaz/v1/models/default', answers: 200 },
  'POST /sutaz/v1/models/{name}/pull': { need: 'models:manage', ask: '/sutaz/v1/models/nothing/pull', answers: 200 },
  'GET /sutaz/v1/models/{name}/pull': { need: 'models:use', ask: '/sutaz/v1/models/default/pull', answers: 409 },
  'DELETE /sutaz/v1/models/{name}': { need: 'models:manage', ask: '/sutaz/v1/models/nothing', answers: 404 },
  'GET /sutaz/v1/models/{name}/versions': {
    need: 'models:use',
    ask: '/sutaz/v1/models/default/versions',
    answers: 200,
  },
  'POST /sutaz/v1/models/{name}/rollback': {
    need: 'models:manage',
    ask: '/sutaz/v1/models/nothing/rollback',
    answers: 404,
  },
  'POST /sutaz/v1/store/verify': { need: 'models:manage', body: { models: ['nothing'] }, answers: 200 },
  'POST /sutaz/v1/store/collect': { need: 'models:manage', body: { dryRun: true }, answers: 200 },
  'POST /sutaz/v1/store/import': { need: 'models:manage', body: {}, answers: 400 },
  'POST /sutaz/v1/store/views/{kind}': { need: 'models:manage', ask: '/sutaz/v1/store/views/nothing', answers: 404 },
  'GET /sutaz/v1/jobs': { need: 'jobs:run', answers: 200 },
  'POST /sutaz/v1/jobs': { need: 'jobs:run', body: {}, answers: 400 },
  'GET /sutaz/v1/jobs/{id}': { need: 'jobs:run', ask: '/sutaz/v1/jobs/none', answers: 404 },
  'DELETE /sutaz/v1/jobs/{id}': { need: 'jobs:run', ask: '/sutaz/v1/jobs/none', answers: 404 },
  'GET /sutaz/v1/jobs/{id}/output': { need: 'jobs:run', ask: '/sutaz/v1/jobs/none/output', answers: 404 },
  'GET /sutaz/v1/keys': { need: 'keys', answers: 200 },
  'POST /sutaz/v1/keys': { need: 'keys', body: {}, answers: 400 },
  'POST /sutaz/v1/keys/{id}/rotate': { need: 'keys', ask: '/sutaz/v1/keys/none/rotate', answers: 404 },
  'DELETE /sutaz/v1/keys/{id}': { need: 'keys', ask: '/sutaz/v1/keys/none', answers: 404 },
  'GET /sutaz/v1/audit': { need: 'audit:read', answers: 200 },
};

/** What each role is for, by hand as well. `clerk` is one of sutaz.yaml's; nobody has no role. */
const mayOf: Readonly<Record<string, readonly Need[]>> = {
  admin: [
    'models:use',
    'models:manage',
    'services:use',
    'services:manage',
    'units',
    'jobs:run',
    'state:read',
    'metrics:read',
    'audit:read',
    'keys',
    'console',
    'platform:manage',
  ],
  operator: [
    'models:use',
    'models:manage',
    'services:use',
    'services:manage',
    'units',
    'jobs:run',
    'state:read',
    'metrics:read',
    'audit:read',
    'console',
  ],
  user: ['models:use', 'services:use', 'state:read', 'console'],
  service: ['models:use', 'services:use'],
  clerk: ['keys', 'audit:read'],
  guest: ['services:use'],
};
const config = 'security: { roles: { clerk: [keys, audit:read], guest: ["services:use:sho*"] } }\n';

/** What ends the platform, or puts another in its place, is not tried by who may: but for the one, at the end of this file. */
const ending: readonly string[] = ['POST /sutaz/v1/shutdown', 'POST /sutaz/v1/restart'];

interface Asked {
  readonly method: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: object | undefined;
  readonly from?: string;
}

let platform: TestPlatform;
const keys = new Map<string, string>();
let expired = '';
let revoked = '';
let cookie = '';

/** The status alone: what streams is left at its head. */
function statusOf({ method, path, headers = {}, body, from = '127.0.0.1' }: Asked): Promise<number> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const sent = { host: `127.0.0.1:${platform.port}`, 'content-length': Buffer.byteLength(text), ...headers };
    const options = { host: '127.0.0.1', port: platform.port, localAddress: from, agent: false };
    const req = request({ ...options, path, method, headers: sent }, (res) => {
      resolve(res.statusCode ?? 0);
      res.on('error', () => undefined).destroy();
    });
    req.on('error', reject).end(text);
  });
}

const rows = Object.entries(table).map(([address, row]) => {
  const [asked = '', pattern = ''] = address.split(' ');
  return { address, ...row, method: asked === 'ANY' ? 'GET' : asked, path: row.ask ?? pattern };
});
const bearer = (key: string) => ({ authorization: `Bearer ${key}` });

async function made(ask: object): Promise<ApiMadeKey> {
  const init = { method: 'POST', body: JSON.stringify(ask), headers: { 'content-type': 'application/json' } };
  const response = await platform.fetch('/sutaz/v1/keys', init);
  expect(response.status).toBe(201);
  return (await response.json()) as ApiMadeKey;
}

beforeAll(async () => {
  const dir = `${root}test`;
  platform = await startPlatform({
    config,
    catalog: {
      'services/shown.yaml': echoService('shown', { dir }),
      'services/kept.yaml': echoService('kept', { dir }),
    },
  });
  for (const role of Object.keys(mayOf)) keys.set(role, (await made({ name: role, roles: [role] })).key);
  const gone = await made({ name: 'gone', roles: ['admin'] });
  revoked = gone.key;
  await platform.fetch(`/sutaz/v1/keys/${gone.facts.keyId}`, { method: 'DELETE' });
  const brief = await made({ name: 'brief', roles: ['admin'], expiresIn: '1ms' });
  expired = brief.key;
  const link = (await (await platform.fetch('/sutaz/v1/console-links', { method: 'POST' })).json()) as { url: string };
  const opened = await fetch(link.url, { redirect: 'manual' });
  cookie = opened.headers.get('set-cookie')?.split(';')[0] ?? '';
  await platform.fetch('/services/shown/');
});
afterAll(async () => void (await platform.stop()));

it('every address of the code stands in the table, and no other', () => {
  const inCode = guards.flatMap(({ methods, path }) =>
    (methods ?? ['ANY']).filter((method) => method !== 'HEAD').map((method) => `${method} ${path}`),
  );
  expect(Object.keys(table).sort()).toEqual(inCode.sort());
});

describe.each(Object.entries(mayOf))('a key of the role %s', (role, may) => {
  it.each(rows.filter(({ address }) => !ending.includes(address) || !may.includes('platform:manage')))(
    'at $address',
    async ({ method, path, body, need, answers }) => {
      const status = await statusOf({ method, path, body, headers: bearer(keys.get(role) ?? '') });
      expect(status).toBe(need === 'open' || need === 'any' || may.includes(need) ? answers : 403);
    },
  );
});

describe('without a key that is good', () => {
  it.each(rows)('$address is not reached', async ({ address, method, path, body, need, answers }) => {
    // Each address of this machine may be wrong so often before it has to wait: each row comes from one of its own.
    const from = `127.0.1.${rows.findIndex((row) => row.address === address) + 1}`;
    const refused = need === 'open' ? answers : 401;
    const without = (headers: Record<string, string>) => statusOf({ method, path, body, headers, from });
    expect(await without({})).toBe(refused);
    for (const key of ['sutaz-wrong', expired, revoked, `${keys.get('admin')}x`, '']) {
      expect(await without(bearer(key)), key).toBe(refused);
    }
    expect(await without({ 'x-sutaz-key': 'sutaz-wrong', ...bearer(keys.get('admin') ?? '') })).toBe(refused);
    expect(await without({ cookie: 'sutaz_session=wrong' })).toBe(refused);
  });
});

describe('by a name that is not of the door', () => {
  it.each(rows)('$address is not reached, with the best of keys', async ({ method, path, body, address, answers }) => {
    const headers = { host: 'rebound.example', ...bearer(keys.get('admin') ?? '') };
    const anyHost = address.endsWith('/healthz') || address.endsWith('/readyz');
    expect(await statusOf({ method, path, body, headers })).toBe(anyHost ? answers : 403);
  });
});

describe('over HTTP/2', () => {
  let session: ClientHttp2Session;
  beforeAll(() => void (session = connectHttp2(platform.url)));
  afterAll(() => session.destroy());

  async function streamed({ method, path, body, headers = {} }: Omit<Asked, 'from'>): Promise<number> {
    const text = body === undefined ? '' : JSON.stringify(body);
    const stream = session.request({ ':method': method, ':path': path, ...headers }, { endStream: text === '' });
    stream.on('error', () => undefined);
    if (text !== '') stream.end(text);
    const [answer] = (await once(stream, 'response')) as [Record<string, unknown>];
    stream.close(8);
    return Number(answer[':status']);
  }
  const admin = () => bearer(keys.get('admin') ?? '');

  it.each(rows)('$address is not reached without a key, nor by a name that is not of the door', async (row) => {
    const { method, path, body, need, answers, address } = row;
    expect(await streamed({ method, path, body })).toBe(need === 'open' ? answers : 401);
    const anyHost = address.endsWith('/healthz') || address.endsWith('/readyz');
    const rebound = { ':authority': 'rebound.example', ...admin() };
    expect(await streamed({ method, path, body, headers: rebound })).toBe(anyHost ? answers : 403);
    const foreign = { cookie, origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' };
    expect(await streamed({ method, path, body, headers: foreign })).toBe(need === 'open' ? answers : 403);
  });

  it('a WebSocket is opened by who may, and by nobody else', async () => {
    const open = async (headers: Record<string, string>) => {
      const { answer, stream } = await openHttp2WebSocket(session, '/services/shown/ws', headers);
      stream.close(8);
      return answer[':status'];
    };
    for (const [role, may] of Object.entries(mayOf)) {
      expect(await open(bearer(keys.get(role) ?? '')), role).toBe(may.includes('services:use') ? 200 : 403);
    }
    for (const key of ['sutaz-wrong', expired, revoked]) expect(await open(bearer(key))).toBe(401);
    expect(await open({})).toBe(401);
    expect(await open({ ...admin(), ':authority': 'rebound.example' })).toBe(403);
    expect(await open({ cookie, origin: 'https://evil.example' })).toBe(403);
  });
});

describe('from a page of another origin, with the cookie of an open console', () => {
  it.each(rows)('$address is not reached', async ({ method, path, body, need, answers }) => {
    for (const origin of ['https://evil.example', 'http://shown.localhost', 'null']) {
      const status = await statusOf({ method, path, body, headers: { cookie, origin } });
      expect(status, origin).toBe(need === 'open' ? answers : 403);
    }
  });

  it('and from its own it is', async () => {
    const headers = { cookie, origin: platform.url };
    expect(await statusOf({ method: 'GET', path: '/sutaz/v1/keys', headers })).toBe(200);
  });
});

describe('a service at its own host name', () => {
  const host = () => ({ host: `shown.localhost:${platform.port}` });
  it.each([...Object.keys(mayOf), 'nobody'])('by %s', async (role) => {
    const headers = { ...host(), ...(role === 'nobody' ? {} : bearer(keys.get(role) ?? '')) };
    const may = mayOf[role]?.includes('services:use');
    expect(await statusOf({ method: 'GET', path: '/x', headers })).toBe(role === 'nobody' ? 401 : may ? 200 : 403);
    expect(await statusOf({ method: 'GET', path: '/sutaz/v1/keys', headers })).toBe(
      role === 'nobody' ? 401 : may ? 200 : 403,
    );
  });

  it.each(['sutaz-wrong', 'expired', 'revoked'])('by a key that is %s', async (which) => {
    const key = which === 'expired' ? expired : which === 'revoked' ? revoked : which;
    expect(
      await statusOf({ method: 'GET', path: '/x', headers: { ...host(), ...bearer(key) }, from: '127.0.2.1' }),
    ).toBe(401);
  });
});

describe('a WebSocket', () => {
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  };
  async function upgraded(headers: Record<string, string>, path = '/services/shown/ws'): Promise<number> {
    const sent = { host: `127.0.0.1:${platform.port}`, ...upgrade, ...headers };
    const options = { host: '127.0.0.1', port: platform.port, agent: false, localAddress: '127.0.3.1' };
    const req = request({ ...options, path, headers: sent }).end();
    const [res, socket] = (await Promise.race([once(req, 'response'), once(req, 'upgrade')])) as [
      { statusCode: number },
      { destroy(): void }?,
    ];
    socket?.destroy();
    req.destroy();
    return res.statusCode;
  }

  it('is opened by who may, and by nobody else', async () => {
    for (const [role, may] of Object.entries(mayOf)) {
      expect(await upgraded(bearer(keys.get(role) ?? '')), role).toBe(may.includes('services:use') ? 101 : 403);
    }
    for (const key of ['sutaz-wrong', expired, revoked]) expect(await upgraded(bearer(key))).toBe(401);
    expect(await upgraded({})).toBe(401);
    const admin = bearer(keys.get('admin') ?? '');
    expect(await upgraded({ ...admin, host: 'rebound.example' })).toBe(403);
    expect(await upgraded({ cookie, origin: 'https://evil.example' })).toBe(403);
    expect(await upgraded(admin, '/sutaz/v1/events')).toBe(404);
    expect(await upgraded(bearer(keys.get('guest') ?? ''), '/services/kept/ws')).toBe(403);
  });
});

describe('what one may not use', () => {
  it('is not reached under any of its names, nor listed', async () => {
    const narrow = (await made({ name: 'narrow', scopes: ['models:use:smollm2:*', 'services:manage:kept'] })).key;
    const ask = (path: string, method = 'GET') => statusOf({ path, method, headers: bearer(narrow) });
    const listed = (await (await platform.fetch('/v1/models', { headers: bearer(narrow) })).json()) as {
      data: { id: string }[];
    };
    expect(listed.data.map(({ id }) => id)).toEqual(expect.arrayContaining(['smollm2:135m']));
    expect(listed.data.filter(({ id }) => !id.startsWith('smollm2:'))).toEqual([]);
    expect(await ask('/v1/models/smollm2:135m')).toBe(200);
    for (const name of ['gemma3:270m', 'all-minilm', 'there-is-no-such']) {
      expect(await ask(`/v1/models/${name}`)).toBe(403);
      expect(await ask(`/sutaz/v1/models/${name}/versions`)).toBe(403);
    }
    expect([await ask('/sutaz/v1/units/kept/pin', 'POST'), await ask('/sutaz/v1/units/kept/unpin', 'POST')]).toEqual([
      200, 200,
    ]);
    expect(await ask('/sutaz/v1/units/shown/pin', 'POST')).toBe(403);
    expect(await ask('/sutaz/v1/units/smollm2:135m/start', 'POST')).toBe(403);
  });
});

describe('an address without a guard', () => {
  it.each([
    '/nothing',
    '/v1/nothing',
    '/sutaz/v1/',
    '/sutaz/v2/state',
    '/sutaz/v1/units',
    '/api',
    '//v1/models',
    '/V1/models',
    '/v1/../sutaz/v1/keys',
    '/services/',
    '/metrics/',
    '/%76%31/models',
  ])('%s is not there, and says so only to who has a key', async (path) => {
    expect(await statusOf({ method: 'GET', path })).toBe(401);
    expect(await statusOf({ method: 'GET', path, headers: bearer(keys.get('admin') ?? '') })).toBe(404);
  });
});

it('who may stop the platform does', async () => {
  expect(await statusOf({ method: 'POST', path: '/sutaz/v1/shutdown', headers: bearer(keys.get('admin') ?? '') })).toBe(
    202,
  );
});
