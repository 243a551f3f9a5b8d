import { once } from 'node:events';
import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:https';
import { connect as connectHttp2 } from 'node:http2';
import { join } from 'node:path';
import { connect } from 'node:tls';
import type { PeerCertificate } from 'node:tls';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { issue, makeAuthority } from '#security/authority';
import type { CertificatePair } from '#security/authority';
import { echoService, root, startPlatform, testHome } from './_platform.ts';
import type { TestPlatform } from './_platform.ts';
import { until } from './_processes.ts';

let platform: TestPlatform;
afterEach(() => platform.stop());

const catalog = { 'services/echo.yaml': echoService('echo', { dir: `${root}/test` }) };

interface Reply {
  readonly status: number | undefined;
  readonly text: string;
}

function ask(path: string, ca: string, options: { servername?: string; agent?: Agent } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const { servername = 'localhost', agent = new Agent({ maxCachedSessions: 0 }) } = options;
    const headers = { authorization: `Bearer ${platform.key}`, host: `${servername}:${platform.port}` };
    const req = request({ host: '127.0.0.1', port: platform.port, path, ca, servername, agent, headers }, (res) => {
      let text = '';
      res.on('data', (chunk) => (text += String(chunk)));
      res.on('end', () => resolve({ status: res.statusCode, text }));
    });
    req.on('error', reject).end();
  });
}

async function certificate(ca: string): Promise<PeerCertificate> {
  const socket = connect({ port: platform.port, host: '127.0.0.1', servername: 'localhost', ca });
  await once(socket, 'secureConnect');
  const found = socket.getPeerCertificate();
  socket.destroy();
  return found;
}

describe('a certificate of its own', () => {
  it('is good for the door and for every service, over HTTP/1.1 and HTTP/2', async () => {
    platform = await startPlatform({ config: 'listen: { tls: auto }\n', catalog });
    const file = join(platform.home, 'tls/ca.pem');
    const ca = await readFile(file, 'utf8');
    expect(await ask('/healthz', ca)).toEqual({ status: 200, text: 'ok\n' });
    const echoed = JSON.parse((await ask('/', ca, { servername: 'echo.localhost' })).text) as Record<string, object>;
    expect(echoed.headers).toMatchObject({ 'x-forwarded-proto': 'https', 'x-forwarded-for': '127.0.0.1' });
    const client = connectHttp2(`https://localhost:${platform.port}`, { ca });
    const stream = client.request({ ':path': '/services/echo/', authorization: `Bearer ${platform.key}` });
    let text = '';
    stream.on('data', (chunk) => (text += String(chunk)));
    await once(stream, 'end');
    client.close();
    expect(JSON.parse(text)).toMatchObject({ headers: { 'x-forwarded-proto': 'https' } });
    expect((await stat(join(platform.home, 'tls/ca.key'))).mode & 0o777).toBe(0o600);
    expect((await platform.fetch('/healthz')).status).toBe(200);
  });

  it('is shown by the command line, without its key', async () => {
    platform = await startPlatform({ config: 'listen: { tls: auto }\n' });
    const { stdout } = await promisify(execFile)(process.execPath, [
      ...['--conditions=source', join(root, 'src/cli.ts'), 'certs', '--json', '--home', platform.home],
    ]);
    const shown = JSON.parse(stdout) as Record<string, string>;
    expect(shown).toMatchObject({
      file: join(platform.home, 'tls/ca.pem'),
      subject: expect.stringContaining('SutazAI') as string,
    });
    expect(stdout).not.toContain('PRIVATE');
  });

  it('outlives a restart: who trusts the authority goes on trusting it', async () => {
    platform = await startPlatform({ config: 'listen: { tls: auto }\n' });
    const ca = await readFile(join(platform.home, 'tls/ca.pem'), 'utf8');
    const before = await certificate(ca);
    await platform.stop();
    platform = await startPlatform({ config: 'listen: { tls: auto }\n' });
    expect((await certificate(ca)).fingerprint256).toBe(before.fingerprint256);
  });
});

describe('certificate files', () => {
  const names = ['localhost', '127.0.0.1'] as const;
  const folder = () => join(testHome(), 'certificates');
  const config = () => `listen: { tls: { cert: '${folder()}/door.pem', key: '${folder()}/door.key' } }\n`;
  async function put({ cert, key }: CertificatePair): Promise<void> {
    await mkdir(folder(), { recursive: true });
    for (const [name, text] of [
      ['door.key', key],
      ['door.pem', cert],
    ] as const) {
      await writeFile(join(folder(), `${name}.new`), text);
      await rename(join(folder(), `${name}.new`), join(folder(), name));
    }
  }
  const log = () => readFile(join(platform.home, 'logs/platform.log'), 'utf8').catch(() => '');

  it('are changed while it runs: connections that are open go on, new ones get the new one', async () => {
    const authority = await makeAuthority('A test', Date.now());
    const [first, second] = [await issue(authority, names, Date.now()), await issue(authority, names, Date.now())];
    await put(first);
    platform = await startPlatform({ config: config(), catalog });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    await ask('/services/echo/', authority.cert, { agent });
    const under = ask('/services/echo/slow?ms=1500', authority.cert, { agent });
    const before = await certificate(authority.cert);
    await put(second);
    await until(async () => (await certificate(authority.cert)).fingerprint256 !== before.fingerprint256, 'the change');
    expect(await under).toEqual({ status: 200, text: 'late' });
    expect(await ask('/healthz', authority.cert, { agent })).toMatchObject({ status: 200 });
    agent.destroy();
  });

  it('that do not belong together are refused by name, and the ones before go on', async () => {
    const authority = await makeAuthority('A test', Date.now());
    const [first, second] = [await issue(authority, names, Date.now()), await issue(authority, names, Date.now())];
    await put(first);
    platform = await startPlatform({ config: config() });
    const before = await certificate(authority.cert);
    await put({ cert: second.cert, key: first.key });
    await until(async () => (await log()).includes('does not belong to the certificate'), 'the refusal', 20_000);
    expect((await certificate(authority.cert)).fingerprint256).toBe(before.fingerprint256);
    await put(second);
    await until(async () => (await certificate(authority.cert)).fingerprint256 !== before.fingerprint256, 'the change');
  });

  it('that are not there keep it from starting, and it says which', async () => {
    await put(await issue(await makeAuthority('A test', Date.now()), names, Date.now()));
    const wrong = config().replace('door.pem', 'none.pem');
    await expect(startPlatform({ config: wrong })).rejects.toThrow(/none\.pem cannot be read \(listen\.tls\.cert\)/);
    platform = await startPlatform();
  });
});
