import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { echoService, root, startPlatform, testHome } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

let platform: TestPlatform;
const config = 'limits: { body: 1MiB }\n';
beforeAll(async () => {
  platform = await startPlatform({
    config,
    catalog: { 'services/shown.yaml': echoService('shown', { dir: `${root}test` }) },
  });
});
afterAll(async () => void (await platform.stop()));

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A bare request, with nothing added: no key, any Host. */
function bare(path: string, headers: Record<string, string> = {}, method = 'GET', body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request({ host: '127.0.0.1', port: platform.port, path, method, headers }, async (res) => {
      let text = '';
      for await (const chunk of res) text += String(chunk);
      resolve({ status: res.statusCode ?? 0, headers: res.headers, body: text });
    });
    req.on('error', reject).end(body);
  });
}

const json = (answer: Answer) => JSON.parse(answer.body) as Record<string, unknown>;

describe('who asks', () => {
  it('needs a key everywhere, and is told so in the shape of what was asked', async () => {
    const openai = await bare('/v1/models');
    expect(openai.status).toBe(401);
    expect(json(openai)).toMatchObject({ error: { type: 'authentication_error', code: 'invalid_api_key' } });
    const control = await bare('/sutaz/v1/state');
    expect([control.status, control.headers['content-type']]).toEqual([401, 'application/problem+json; charset=utf-8']);
    expect(json(control)).toMatchObject({
      code: 'UNAUTHENTICATED',
      source: 'gateway',
      traceId: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    const page = await bare('/services/shown/', { accept: 'text/html' });
    expect([page.status, page.headers['content-type']]).toEqual([401, 'text/html; charset=utf-8']);
    expect((await bare('/v1/models', { authorization: 'Bearer sutaz-wrong' })).status).toBe(401);
    expect((await bare('/metrics')).status).toBe(401);
    expect((await bare('/healthz')).status).toBe(200);
    expect((await bare('/readyz')).status).toBe(200);
  });

  it('must use a name of the door: a rebound one is refused, with the right key too', async () => {
    const answer = await bare('/sutaz/v1/state', { host: 'evil.example', authorization: `Bearer ${platform.key}` });
    expect([answer.status, json(answer).code]).toEqual([403, 'FORBIDDEN']);
  });

  it('a one-time link opens one session, which no page of another origin can use', async () => {
    const link = (await (await platform.fetch('/sutaz/v1/console-links', { method: 'POST' })).json()) as {
      url: string;
    };
    const path = link.url.slice(platform.url.length);
    const opened = await bare(path);
    expect([opened.status, opened.headers.location]).toEqual([303, '/console/']);
    expect(opened.headers['set-cookie']?.[0]).toContain('HttpOnly; SameSite=Strict');
    const cookie = opened.headers['set-cookie']?.[0]?.split(';')[0] ?? '';
    expect((await bare(path)).status).toBe(401);
    expect((await bare('/sutaz/v1/state', { cookie })).status).toBe(200);
    const post = (headers: Record<string, string>) =>
      bare('/sutaz/v1/units/shown/start', { cookie, ...headers }, 'POST');
    expect((await post({ origin: 'https://evil.example' })).status).toBe(403);
    expect((await post({})).status).toBe(403);
    expect((await post({ origin: platform.url })).status).toBe(202);
  });

  it("a browser is moved to the service's own host, with a session that is good for that service alone", async () => {
    const link = (await (await platform.fetch('/sutaz/v1/console-links', { method: 'POST' })).json()) as {
      url: string;
    };
    const cookie = (await bare(link.url.slice(platform.url.length))).headers['set-cookie']?.[0]?.split(';')[0] ?? '';
    const moved = await bare('/services/shown/page?x=1', { cookie, accept: 'text/html' });
    expect(moved.status).toBe(303);
    const target = new URL(moved.headers.location ?? '');
    expect(target.host).toBe(`shown.localhost:${platform.port}`);
    const host = { host: target.host };
    const redeemed = await bare(target.pathname + target.search, host);
    expect([redeemed.status, redeemed.headers.location]).toEqual([303, '/page?x=1']);
    const own = { ...host, cookie: redeemed.headers['set-cookie']?.[0]?.split(';')[0] ?? '' };
    await platform.untilState('shown', 'ready');
    expect((await bare('/page', { ...own, accept: 'text/html' })).body).toBe('<h1>the real page</h1>');
    expect((await bare('/sutaz/v1/state', { cookie: own.cookie })).status).toBe(403);
    expect((await bare('/page', { ...own, host: `other.localhost:${platform.port}` })).status).toBe(403);
  });
});

describe('what is asked', () => {
  const post = (path: string, body: string) =>
    platform.fetch(path, { method: 'POST', body, headers: { 'content-type': 'application/json' } });

  it('must be JSON, no larger than allowed, and name a model that is there', async () => {
    const malformed = await post('/v1/chat/completions', '{"model": ');
    expect([malformed.status, ((await malformed.json()) as { error: { message: string } }).error.message]).toEqual([
      400,
      expect.stringContaining('not valid JSON'),
    ]);
    const large = await post('/v1/chat/completions', JSON.stringify({ model: 'default', pad: 'x'.repeat(2 ** 21) }));
    expect(large.status).toBe(413);
    expect(await large.json()).toMatchObject({ error: { details: { limitBytes: 2 ** 20 } } });
    const unknown = await post('/v1/chat/completions', '{"model": "smollm2:135"}');
    expect([unknown.status, await unknown.json()]).toMatchObject([
      404,
      { error: { code: 'model_not_found', param: 'model', message: expect.stringContaining('smollm2:135m') } },
    ]);
    expect((await post('/v1/chat/completions', '{}')).status).toBe(400);
    expect((await platform.fetch('/v1/chat/completions')).status).toBe(405);
    expect((await platform.fetch('/v1/nothing')).status).toBe(404);
  });

  it('a chunked body over the limit is refused too', async () => {
    const stream = new ReadableStream({
      start(controller) {
        for (let i = 0; i < 20; i++) controller.enqueue(new Uint8Array(100_000));
        controller.close();
      },
    });
    const init = { method: 'POST', body: stream, duplex: 'half' } as RequestInit;
    const status = await platform.fetch('/v1/chat/completions', init).then(
      (response) => response.status,
      // The refusal may overtake the upload: then the connection is closed under it.
      () => 413,
    );
    expect(status).toBe(413);
    expect((await platform.fetch('/v1/models')).status).toBe(200);
  });

  it('an unknown service or address has the nearest names, and a broken one is no fault of ours', async () => {
    const service = await platform.fetch('/services/chrome/x');
    expect([service.status, ((await service.json()) as { detail: string }).detail]).toEqual([
      404,
      expect.stringContaining('Did you mean chroma'),
    ]);
    for (const path of ['/services/%zz/x', '/sutaz/v1/units/%zz', '/v1/models/%zz']) {
      expect([path, (await platform.fetch(path)).status]).toEqual([path, 400]);
    }
    expect((await platform.fetch('/sutaz/v1/units/shown', { method: 'DELETE' })).status).toBe(405);
    const job = await platform.fetch('/services/aider/x');
    expect(((await job.json()) as { detail: string }).detail).toContain('a job');
  });

  it('metrics are the text format', async () => {
    const text = await (await platform.fetch('/metrics')).text();
    expect(text).toContain('# TYPE sutaz_http_requests_total counter');
    expect(text).toMatch(/^sutaz_memory_limit_bytes \d+$/m);
  });
});

describe('what is configured', () => {
  it('a bad change leaves running what ran, and a good one is taken up', async () => {
    const file = join(testHome(), 'sutaz.yaml');
    await writeFile(file, 'limits: { bdy: 2MiB }\n');
    const log = () => readFile(join(testHome(), 'logs', 'platform.log'), 'utf8');
    await until(async () => (await log()).includes('limits.bdy'), 'the mistake to be told');
    const post = (bytes: number) => platform.fetch('/v1/chat/completions', { method: 'POST', body: 'x'.repeat(bytes) });
    expect((await post(1.5 * 2 ** 20)).status).toBe(413);
    await writeFile(file, 'limits: { body: 2MiB }\n');
    await until(async () => (await post(1.5 * 2 ** 20)).status === 400, 'the new limit', 10_000);
  });

  interface Ended {
    readonly code: number | null;
    readonly errors: string;
  }
  async function up(home: string, ...flags: string[]): Promise<Ended> {
    const argv = [
      '--conditions=source',
      '--disable-warning=ExperimentalWarning',
      join(root, 'src/cli.ts'),
      'up',
      '--home',
      home,
      ...flags,
    ];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()));
    const [code] = (await once(child, 'exit')) as [number | null];
    return { code, errors };
  }

  it('a second platform on one home is refused, with where the first is', async () => {
    const { code, errors } = await up(testHome(), '--port', '0');
    expect(code).toBe(4);
    expect(errors).toContain(platform.url);
    expect(errors).toContain(String(platform.pid));
    expect((await platform.fetch('/readyz')).status).toBe(200);
  });

  it('a taken port and a bad configuration end the start with what to do', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as AddressInfo;
    const home = join(testHome(), 'elsewhere');
    try {
      const ended = await up(home, '--port', String(port));
      expect(ended.code).not.toBe(0);
      expect(ended.errors).toContain(`Port ${port}`);
      expect(ended.errors).toContain('--port');
    } finally {
      taken.close();
    }
    await writeFile(join(home, 'sutaz.yaml'), 'memory:\n  limt: 4GiB\n');
    const bad = await up(home, '--port', '0');
    expect(bad.code).not.toBe(0);
    expect(bad.errors).toMatch(/sutaz\.yaml:2:3: memory\.limt: unknown key\. Did you mean limit\?/);
  });
});
