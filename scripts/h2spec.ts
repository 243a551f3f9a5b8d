// Runs h2spec against a real platform, without and with TLS, and beside it against a bare server of node:http2: what both fail
// is Node's. Needs h2spec on the PATH, in $H2SPEC, or Go to install it. Ends with 1 when the door fails what bare Node passes.
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createSecureServer, createServer } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { homedir, tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const root = new URL('..', import.meta.url).pathname;
const version = 'v2.2.1+incompatible';

/**
 * What bare Node passes and the door must not: a connection without TLS that begins as neither protocol does is answered in
 * HTTP/1.1 (400), which h2spec cannot know.
 */
const expected = new Set(['h2c: http2/3.5/2']);

async function findH2spec(): Promise<string> {
  const places = [process.env.H2SPEC, ...(process.env.PATH ?? '').split(delimiter).map((dir) => join(dir, 'h2spec'))];
  const found = places.find((place) => place && existsSync(place));
  if (found) return found;
  const bin = join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'sutaz-h2spec');
  const file = join(bin, 'h2spec');
  if (existsSync(file)) return file;
  console.log('Installing h2spec with Go ...');
  await run('go', ['install', `github.com/summerwind/h2spec/cmd/h2spec@${version}`], {
    env: { ...process.env, GOBIN: bin, GOFLAGS: '-mod=mod' },
  });
  return file;
}

interface Outcome {
  readonly passed: number;
  readonly skipped: number;
  readonly failed: readonly string[];
}

async function outcomeOf(h2spec: string, folder: string, port: number, secure: boolean): Promise<Outcome> {
  const report = join(folder, `${port}-${secure}.xml`);
  const flags = [
    '-h',
    '127.0.0.1',
    '-p',
    String(port),
    '-P',
    '/healthz',
    '-o',
    '3',
    '-j',
    report,
    ...(secure ? ['-t', '-k'] : []),
  ];
  // It ends with 1 when a case fails: the report says which.
  await run(h2spec, flags, { maxBuffer: 2 ** 24, timeout: 120_000 }).catch(() => undefined);
  return parse(await readFile(report, 'utf8'));
}

/** One `testsuite` a section; its cases are numbered as they come. */
function parse(xml: string): Outcome {
  const failed: string[] = [];
  let [passed, skipped] = [0, 0];
  for (const [, section, cases] of xml.matchAll(/<testsuite [^>]*package="([^"]*)"[^>]*>(.*?)<\/testsuite>/gs)) {
    let number = 0;
    for (const [, , body = ''] of (cases ?? '').matchAll(/<testcase ([^>]*?)(?:\/>|>(.*?)<\/testcase>)/gs)) {
      number++;
      if (body.includes('<skipped')) skipped++;
      else if (/<(failure|error)/.test(body)) failed.push(`${section}/${number}`);
      else passed++;
    }
  }
  return { passed, skipped, failed };
}

async function startPlatform(home: string): Promise<{ readonly port: number; stop(): Promise<void> }> {
  await writeFile(join(home, 'sutaz.yaml'), 'listen: { tls: auto }\n');
  const flags = ['--conditions=source', '--disable-warning=ExperimentalWarning', join(root, 'src/cli.ts')];
  const child = spawn(process.execPath, [...flags, 'up', '--home', home, '--port', '0'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const url = await announced(join(home, 'platform.json'), child);
  const port = Number(new URL(url).port);
  return {
    port,
    async stop() {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** The address of the platform, once it says that it is there. */
async function announced(file: string, child: ChildProcess): Promise<string> {
  for (let tries = 0; tries < 600; tries++) {
    const text = await readFile(file, 'utf8').catch(() => '');
    if (text !== '') return (JSON.parse(text) as { readonly url: string }).url;
    if (child.exitCode !== null) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error('The platform did not start.');
}

async function bareNode(home: string, secure: boolean): Promise<{ readonly port: number; close(): void }> {
  const read = (name: string) => readFile(join(home, 'tls', name), 'utf8');
  const server = secure
    ? createSecureServer({ cert: await read('door.pem'), key: await read('door.key') })
    : createServer();
  server.on('request', (_, res) => res.end('ok\n'));
  server.on('sessionError', () => undefined);
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { port: (server.address() as AddressInfo).port, close: () => server.close() };
}

const h2spec = await findH2spec();
const home = await mkdtemp(join(tmpdir(), 'sutaz-h2spec-'));
const platform = await startPlatform(home);
let worse = 0;
try {
  for (const secure of [false, true]) {
    const name = secure ? 'TLS' : 'h2c';
    const bare = await bareNode(home, secure);
    const node = await outcomeOf(h2spec, home, bare.port, secure);
    const door = await outcomeOf(h2spec, home, platform.port, secure);
    bare.close();
    for (const [who, { passed, skipped, failed }] of [
      ['bare Node', node],
      ['the door', door],
    ] as const) {
      console.log(`${name}, ${who}: ${passed} passed, ${failed.length} failed, ${skipped} skipped`);
      if (failed.length > 0) console.log(`  failed: ${failed.join(' ')}`);
    }
    let more = door.failed.filter((one) => !node.failed.includes(one) && !expected.has(`${name}: ${one}`));
    if (more.length > 0) {
      // Some cases are a race between an answer and the next frame: what is wrong is wrong twice.
      const again = await outcomeOf(h2spec, home, platform.port, secure);
      more = more.filter((one) => again.failed.includes(one));
    }
    if (more.length > 0) console.log(`  the door alone: ${more.join(' ')}`);
    worse += more.length;
    if (door.passed === 0) worse++;
  }
} finally {
  await platform.stop();
  await rm(home, { recursive: true });
}
process.exitCode = worse > 0 ? 1 : 0;
