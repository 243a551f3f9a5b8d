import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ApiState, ApiUnit } from '#contracts/api';
import { Fault } from '#kernel/faults';
import { fakeKey, fakePlatform, json, stream } from './platform.fake.ts';
import type { FakePlatform } from './platform.fake.ts';

let platform: FakePlatform;
beforeEach(async () => {
  platform = await fakePlatform();
});
afterEach(() => platform.close());

const GiB = 2 ** 30;
const unit = (name: string, changes: Partial<ApiUnit> = {}): ApiUnit => ({
  id: `service/${name}`,
  kind: 'service',
  name,
  copyOf: null,
  title: name,
  summary: `${name} does things`,
  category: 'tool',
  tier: 'on-demand',
  state: 'cold',
  why: 'never asked for',
  pinned: false,
  bytes: { declared: GiB, learned: null, measured: null, reserved: 0 },
  leases: 0,
  waiters: 0,
  idleMs: null,
  progress: null,
  failure: null,
  url: null,
  instance: null,
  ...changes,
});
const state = (...units: readonly ApiUnit[]): ApiState => ({
  platform: { version: '1', url: platform.url, home: platform.home, startedAt: '', pid: 1 },
  ledger: {
    limitBytes: 4 * GiB,
    limitReason: 'asked for',
    reservedBytes: 1.5 * GiB,
    measuredBytes: GiB,
    freeBytes: 2.5 * GiB,
  },
  units,
});
const sse = (event: string, data: unknown) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

describe('ps', () => {
  const chroma = unit('chroma', {
    state: 'ready',
    pinned: true,
    why: 'one request is\nbeing served',
    bytes: { declared: GiB, learned: 1.5 * GiB, measured: GiB, reserved: 1.5 * GiB },
    leases: 1,
    waiters: 2,
    idleMs: 61_000,
  });

  test('shows the ledger, and the awake before the cold', async () => {
    const slept = unit('slept', {
      bytes: { declared: GiB, learned: GiB, measured: null, reserved: 0 },
      why: 'cold: idle',
    });
    platform.routes['GET /sutaz/v1/state'] = json(state(unit('new'), slept, chroma));
    const { code, out } = await platform.run(['ps']);
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "Memory: 1.5 GiB reserved of 4 GiB (asked for), 1 GiB measured, 2.5 GiB free

      NAME    STATE          DECLARED  LEARNED  MEASURED  LEASES   IDLE  WHY
      chroma  ready, pinned     1 GiB  1.5 GiB     1 GiB    1 +2  1 min  one request is being served
      slept   cold              1 GiB    1 GiB         -       0      -  idle

      1 more, never used: sutaz ps --all
      "
    `);
  });

  test('shows what several spare by one provider', async () => {
    platform.routes['GET /sutaz/v1/state'] = json(state(chroma));
    const shared = [
      { provider: 'service/redis', users: ['service/a', 'service/b', 'service/c'], bytes: GiB, sparedBytes: 2 * GiB },
      { provider: 'service/postgres', users: ['service/a'], bytes: GiB, sparedBytes: 0 },
    ];
    platform.routes['GET /sutaz/v1/map'] = json({ since: '', nodes: [], edges: [], shared });
    expect((await platform.run(['ps'])).out).toContain('\nShared: redis by 3; 2 GiB spared (sutaz map)\n');
    expect(JSON.parse((await platform.run(['ps', '--json'])).out)).toMatchObject({ shared });
    // An earlier release has no map.
    platform.routes['GET /sutaz/v1/map'] = json({ detail: 'no such address' }, 404);
    const { code, out } = await platform.run(['ps']);
    expect([code, out.includes('Shared')]).toEqual([0, false]);
  });

  test('shows graphics cards and busy threads where there are any', async () => {
    const [card, busy] = [
      { id: 'gpu0', name: 'Tesla T4', totalBytes: 16 * GiB, limitBytes: 12 * GiB, reservedBytes: 5 * GiB },
      { total: 4, busy: 3, waiting: ['model/x'] },
    ];
    const rest = {
      chargedBytes: 6 * GiB,
      incomingBytes: 0,
      freeBytes: 6 * GiB,
      measuredBytes: 6 * GiB,
      otherBytes: GiB,
    };
    const vram = {
      device: 'gpu0',
      reserved: 5 * GiB,
      charged: 6 * GiB,
      measured: 6 * GiB,
      learned: null,
      next: 5 * GiB,
    };
    const told = state({ ...chroma, vram });
    platform.routes['GET /sutaz/v1/state'] = json({
      ...told,
      ledger: { ...told.ledger, devices: [{ ...card, ...rest }], threads: busy },
    });
    const { out } = await platform.run(['ps']);
    expect(out).toContain(
      'Card gpu0: 5 GiB reserved of 12 GiB (Tesla T4, 1 GiB held by other programs), 6 GiB measured, 6 GiB free\n' +
        'Processor: 3 threads busy on 4 cores; 1 units wait for some\n',
    );
    expect(out).toMatch(/MEASURED +VRAM +LEASES/);
    expect(out).toMatch(/^chroma .* 6 GiB +1 \+2 /m);
  });

  test('regression: what cannot run here, and never was used, does not hide the rest', async () => {
    const unable = unit('boxed', { state: 'disabled', why: 'there is no Docker engine here' });
    platform.routes['GET /sutaz/v1/state'] = json(state(unable, unit('new'), chroma));
    const { out } = await platform.run(['ps']);
    expect(out).not.toContain('boxed');
    expect(out).toContain('2 more, never used, 1 of them unable to run here: sutaz ps --all\n');
    expect((await platform.run(['ps', '--all'])).out).toContain('there is no Docker engine here');
  });

  test('--all shows what was never used too, and failures say why', async () => {
    const broken = unit('broken', { state: 'quarantined', failure: { message: 'no such module', log: [] } });
    platform.routes['GET /sutaz/v1/state'] = json(state(unit('new'), broken));
    const { out } = await platform.run(['ps', '-a']);
    expect(out).toMatch(/^broken +quarantined .* no such module$/m);
    expect(out).toMatch(/^new +cold /m);
    expect(out).not.toContain('--all');
  });

  test('colours on a terminal, and none with NO_COLOR', async () => {
    platform.routes['GET /sutaz/v1/state'] = json(state(chroma));
    const env = { SUTAZ_HOME: platform.home };
    expect((await platform.run(['ps'], { io: { outTty: true, env } })).out).toContain('\x1b[32mready, pinned');
    expect((await platform.run(['ps'], { io: { outTty: true, env: { ...env, NO_COLOR: '1' } } })).out).not.toContain(
      '\x1b',
    );
  });

  test('--json is what the platform said, filtered in the same way', async () => {
    platform.routes['GET /sutaz/v1/state'] = json(state(unit('new'), chroma));
    const names = async (...more: string[]) => {
      const said = JSON.parse((await platform.run(['ps', '--json', ...more])).out) as ApiState;
      return said.units.map(({ name }) => name);
    };
    expect(await names()).toEqual(['chroma']);
    expect(await names('--all')).toEqual(['new', 'chroma']);
  });
});

describe('move', () => {
  const path = 'POST /sutaz/v1/units/chroma/move';

  test('tells how far the fetch is, then by which way it runs', async () => {
    const instance = { id: 'i', way: 'docker', pid: 1, port: 2, startedAt: '' } as const;
    platform.routes[path] = stream(
      sse('progress', { phase: 'downloading', what: 'chromadb/chroma:1.5.9', percent: 40 }),
      sse('done', unit('chroma', { state: 'ready', instance })),
    );
    const { code, out, err } = await platform.run(['move', 'chroma', 'docker']);
    expect({ code, out }).toEqual({ code: 0, out: 'chroma runs by docker (ready).\n' });
    expect(err).toBe('chroma: downloading, chromadb/chroma:1.5.9, 40 %\n');
    expect(platform.asked[0]?.path).toBe('/sutaz/v1/units/chroma/move?to=docker&wait=true');
  });

  test('says why it runs as before', async () => {
    const problem = { status: 500, code: 'START_FAILED', detail: 'it runs as before', traceId: 't', source: 'gateway' };
    platform.routes[path] = stream(sse('error', problem));
    const { code, err } = await platform.run(['move', 'chroma', 'docker', '--force']);
    expect(code).toBe(1);
    expect(err).toContain('it runs as before');
    expect(platform.asked[0]?.path).toBe('/sutaz/v1/units/chroma/move?to=docker&force=true&wait=true');
  });
});

describe('start', () => {
  const path = 'POST /sutaz/v1/units/chroma/start';

  test('shows each phase where lines cannot be rewritten, then that it is ready', async () => {
    const ready = unit('chroma', { state: 'ready', url: 'http://x/services/chroma/', why: 'started' });
    platform.routes[path] = stream(
      sse('progress', { phase: 'preparing', what: 'environment', percent: 12.4 }),
      sse('progress', { phase: 'preparing', what: 'environment', percent: 50 }),
      sse('progress', { phase: 'starting', position: 2, estimateMs: 3_000 }),
      sse('done', ready),
    );
    const { code, out, err } = await platform.run(['start', 'chroma']);
    expect(code).toBe(0);
    expect(out).toBe('chroma is ready at http://x/services/chroma/: started\n');
    expect(err).toBe('chroma: preparing, environment, 12 %\nchroma: starting, place 2 in the queue, about 3 s\n');
    expect(platform.asked[0]?.path).toBe('/sutaz/v1/units/chroma/start?wait=true');
  });

  test('one line, rewritten and taken away, on a terminal', async () => {
    platform.routes[path] = stream(sse('progress', { phase: 'starting' }), sse('done', unit('chroma')));
    const { err } = await platform.run(['start', 'chroma'], { io: { errTty: true } });
    expect(err).toBe('\rchroma: starting\x1b[K\r\x1b[K');
  });

  test('an error of the stream fails with its message', async () => {
    platform.routes[path] = stream(
      sse('error', { status: 503, code: 'START_FAILED', detail: 'It ended with code 1.' }),
    );
    expect(await platform.run(['start', 'chroma'])).toMatchObject({ code: 1, err: 'sutaz: It ended with code 1.\n' });
  });

  test('a stream that just ends is no success', async () => {
    platform.routes[path] = stream(sse('progress', { phase: 'starting' }));
    const { code, err } = await platform.run(['start', 'chroma']);
    expect(code).toBe(1);
    expect(err).toContain('ended before the work was done');
  });

  test('--no-wait asks once and returns', async () => {
    platform.routes[path] = json(unit('chroma', { state: 'queued', why: '' }), 202);
    expect((await platform.run(['start', 'chroma', '--no-wait'])).out).toBe('chroma is queued\n');
    expect(platform.asked[0]?.path).toBe('/sutaz/v1/units/chroma/start');
  });
});

test.each(['pin', 'unpin', 'stop'])('%s asks for the unit by its name, whatever is in it', async (verb) => {
  platform.routes[`POST /sutaz/v1/units/model%2Fa%3Ab/${verb}`] = json(unit('a:b', { pinned: true }));
  const { code, out } = await platform.run([verb, 'model/a:b']);
  expect(code).toBe(0);
  expect(out).toMatch(/^a:b is/);
});

test('stop --force does so although it is busy', async () => {
  platform.routes['POST /sutaz/v1/units/a/stop'] = json(unit('a'));
  await platform.run(['stop', 'a', '--force']);
  expect(platform.asked[0]?.path).toBe('/sutaz/v1/units/a/stop?force=true');
});

test.each([
  [['jobs', 'ls'], 'jobs', { jobs: [] }, 'Nothing was run yet: `sutaz run TOOL` does.\n'],
  [['audit'], 'audit', { entries: [] }, 'Nothing of that kind was changed.\n'],
])('%j says so when there is nothing', async (argv, path, answer, text) => {
  platform.routes[`GET /sutaz/v1/${path}`] = json(answer);
  expect((await platform.run(argv)).out).toBe(text);
  expect(JSON.parse((await platform.run([...argv, '--json'])).out)).toEqual(answer);
});

describe('models', () => {
  const model = {
    id: 'a:b',
    name: 'A',
    summary: 'a model',
    aliases: [],
    engine: 'llama',
    sizeBytes: 100 * 2 ** 20,
    state: 'cold' as const,
    plan: null,
    context: 4096,
    slots: 2,
  };
  const pulled = { sha256: 'f'.repeat(64), bytes: 99 * 2 ** 20, source: 'python', path: '/p', pulledAt: 'now' };

  test('ls tells what is here from what is not', async () => {
    platform.routes['GET /sutaz/v1/models'] = json({
      models: [
        { ...model, pulled: null },
        { ...model, id: 'c:d', pulled },
      ],
    });
    const { out } = await platform.run(['models', 'ls']);
    expect(out).toMatch(/^a:b +not pulled +100 MiB +- +4096 x 2 +a model$/m);
    expect(out).toMatch(/^c:d +cold +99 MiB/m);
  });

  test('pull shows where it is, then what it got', async () => {
    platform.routes['POST /sutaz/v1/models/a%3Ab/pull'] = stream(
      sse('progress', { phase: 'downloading', what: 'a.gguf', done: 50 * 2 ** 20, total: 100 * 2 ** 20 }),
      sse('done', { model: { ...model, pulled } }),
    );
    const { code, out, err } = await platform.run(['models', 'pull', 'a:b']);
    expect(code).toBe(0);
    expect(err).toMatch(/^downloading a\.gguf \[#+-+\] 50 % 50 MiB of 100 MiB\n$/);
    expect(out).toBe('a:b is here: 99 MiB, sha256 ffffffffffff\n');
  });

  test('rm', async () => {
    platform.routes['DELETE /sutaz/v1/models/a%3Ab'] = (res) => res.writeHead(204).end();
    expect(await platform.run(['models', 'rm', 'a:b'])).toMatchObject({
      code: 0,
      out: 'The file of a:b is removed.\n',
    });
  });

  test('show says what the memory is for', async () => {
    const plan = { weights: GiB, kv: GiB, compute: GiB, overhead: GiB, total: 4 * GiB };
    platform.routes['GET /sutaz/v1/models/a%3Ab'] = json({
      ...model,
      pulled,
      plan,
      header: { parameters: 1e9 },
      sources: [],
      estimate: { plannedBytes: 4 * GiB, measuredBytes: 5 * GiB, errorPercent: -20 },
      fit: { limitBytes: 3 * GiB, context: 2048 },
      versions: [
        { present: true, damage: 'its SHA-256 is x' },
        { present: false, damage: null },
      ],
    });
    const { out } = await platform.run(['models', 'show', 'a:b']);
    expect(out).toContain('4 GiB = 1 GiB weights + 1 GiB KV cache');
    expect(out).toMatch(/^parameters +1000000000$/m);
    expect(out).toMatch(/^measured +5 GiB at most; the plan is off by -20 %$/m);
    expect(out).toMatch(/^too large +2048 tokens are the longest context that fits, of the 3 GiB that all may take$/m);
    expect(out).toMatch(/^damaged +its SHA-256 is x; a pull fetches it again$/m);
  });
});

test('catalog ls names what is disabled and where', async () => {
  const problems = [{ file: '/x.yaml', line: 2, column: 1, key: '', message: 'not valid YAML' }];
  platform.routes['GET /sutaz/v1/catalog'] = json({
    services: [],
    models: [],
    disabled: [{ kind: 'service', id: 'x', path: '/x.yaml', problems }],
  });
  expect((await platform.run(['catalog', 'ls'])).out).toContain(
    'The service x is disabled:\n  /x.yaml:2:1: not valid YAML\n',
  );
});

test('console prints the link alone', async () => {
  platform.routes['POST /sutaz/v1/console-links'] = json({ url: 'http://x/console/#t', expiresAt: 'soon' });
  expect(await platform.run(['console'])).toEqual({ code: 0, out: 'http://x/console/#t\n', err: '' });
});

test('events shows what happens; with --json everything', async () => {
  const log = { at: '2026-01-02T03:04:05Z', type: 'evicted', unit: 'service/a', message: 'to make room\x1b[2J' };
  platform.routes['GET /sutaz/v1/events'] = stream(sse('ledger', { freeBytes: 1 }), sse('log', log));
  expect((await platform.run(['events'])).out).toMatch(/^\d\d:\d\d:05  evicted +service\/a: to make room\[2J\n$/);
  const lines = (await platform.run(['events', '--json'])).out.trim().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
    { event: 'ledger', data: { freeBytes: 1 } },
    { event: 'log', data: log },
  ]);
});

describe('up', () => {
  const link = { url: 'http://x/console/#once', expiresAt: 'soon' };
  let home: string;
  beforeEach(() => {
    home = join(platform.home, 'second');
    mkdirSync(join(home, 'keys'), { recursive: true });
    writeFileSync(join(home, 'keys/admin.key'), fakeKey);
    platform.routes['POST /sutaz/v1/console-links'] = json(link);
  });
  const ready = () => ({ url: platform.url, pid: 7, keyFile: join(home, 'keys/admin.key') });

  test('runs the platform with what was asked, and says where it is', async () => {
    const given: unknown[] = [];
    const { code, out } = await platform.run(
      ['up', '--home', home, '--port=0', '--memory', '2GiB', '--config', 'my.yaml'],
      {
        composition: {
          async runPlatform({ onReady, launchSuccessor, ...options }) {
            given.push(options);
            expect(launchSuccessor).toBeTypeOf('function');
            onReady(ready());
            // It runs on for a while: long enough for the link to be asked for.
            while (platform.asked.length === 0) await new Promise((resolve) => setImmediate(resolve));
            await new Promise((resolve) => setTimeout(resolve, 50));
          },
        },
      },
    );
    expect(given).toEqual([{ home, port: 0, memoryBytes: 2 * GiB, configFile: join(platform.home, 'my.yaml') }]);
    expect(code).toBe(0);
    expect(out).toContain(`SutazAI is ready at ${platform.url}\n`);
    expect(out).toContain(link.url);
    expect(out).not.toContain(fakeKey);
  });

  test('--json says exactly url, home, pid, keyFile; the child of --detach says nothing at all', async () => {
    const composition = { runPlatform: async ({ onReady }: { onReady(info: unknown): void }) => onReady(ready()) };
    const { out } = await platform.run(['up', '--home', home, '--json'], { composition });
    expect(JSON.parse(out)).toEqual({ url: platform.url, home, pid: 7, keyFile: ready().keyFile });
    expect(await platform.run(['up', '--home', home, '--foreground-child'], { composition })).toMatchObject({
      out: '',
      err: '',
    });
    expect(platform.asked).toEqual([]);
  });

  test('one that runs already is named: 4', async () => {
    const { code, err } = await platform.run(['up']);
    expect(code).toBe(4);
    expect(err).toContain(`running already at ${platform.url} (process ${process.pid}`);
  });

  test('the lock that the platform found taken is 4 too', async () => {
    const runPlatform = () => Promise.reject(new Fault('CONFLICT', 'It runs already.'));
    expect((await platform.run(['up', '--home', home], { composition: { runPlatform } })).code).toBe(4);
  });

  test('a port in use names the port and what to do', async () => {
    const taken = Object.assign(new Error('listen EADDRINUSE'), { code: 'EADDRINUSE', port: 8123 });
    const runPlatform = () => Promise.reject(new Fault('INTERNAL', 'no', { cause: taken }));
    const { code, err } = await platform.run(['up', '--home', home], { composition: { runPlatform } });
    expect(code).toBe(1);
    expect(err).toBe(
      'sutaz: Port 8123 is used by another program. Choose another with --port N, or any free one with --port 0.\n',
    );
  });
});
