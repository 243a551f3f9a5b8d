/** A platform that answers what a test tells it to, its home folder, and a terminal that remembers what was written. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Fault } from '#kernel/faults';
import type { Composition, Io } from './context.ts';
import { runCli } from './main.ts';
import { processClock } from './process.ts';

export interface Asked {
  readonly method: string;
  readonly path: string;
  readonly key: string | undefined;
  readonly body: unknown;
}

export type Answer = (res: ServerResponse, asked: Asked) => void;

export const fakeKey = 'sk-of-the-test';

export interface FakePlatform {
  readonly home: string;
  readonly url: string;
  readonly asked: Asked[];
  /** `'GET /healthz'` to what it answers; a path without its query. */
  readonly routes: Record<string, Answer>;
  /** Runs a command line against it. */
  run(argv: readonly string[], given?: RunOptions): Promise<Ran>;
  close(): Promise<void>;
}

export interface RunOptions {
  readonly io?: Partial<Io>;
  readonly composition?: Partial<Composition>;
  readonly signal?: AbortSignal;
}

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export const json =
  (value: unknown, status = 200): Answer =>
  (res) =>
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

/** Writes each piece on its own, so that the reader sees them apart. */
export const stream =
  (...pieces: readonly string[]): Answer =>
  (res) => {
    res.writeHead(200, { 'content-type': 'text/event-stream' });
    for (const piece of pieces) res.write(piece);
    res.end();
  };

export async function fakePlatform(options: { readonly running?: boolean } = {}): Promise<FakePlatform> {
  const home = mkdtempSync(join(tmpdir(), 'sutaz-cli-'));
  const asked: Asked[] = [];
  const routes: Record<string, Answer> = { 'GET /readyz': json({ status: 'ready' }) };
  const server = createServer(
    (req, res) => void answer(req, res).catch((error: unknown) => res.destroy(error as Error)),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  mkdirSync(join(home, 'keys'));
  writeFileSync(join(home, 'keys/admin.key'), `${fakeKey}\n`, { mode: 0o600 });
  const file = { url, pid: process.pid, startedAt: '2026-01-02T03:04:05Z', version: '1.2.3' };
  if (options.running !== false) writeFileSync(join(home, 'platform.json'), JSON.stringify(file));

  async function answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const parts: Uint8Array[] = [];
    for await (const chunk of req) parts.push(chunk as Uint8Array);
    const text = Buffer.concat(parts).toString('utf8');
    const body: unknown = text === '' ? undefined : JSON.parse(text);
    const call = { method: req.method ?? '', path: req.url ?? '', key: req.headers.authorization, body };
    asked.push(call);
    const route = routes[`${call.method} ${call.path.split('?')[0]}`];
    if (route) return route(res, call);
    const problem = {
      status: 404,
      code: 'NOT_FOUND',
      detail: `nothing at ${call.path}`,
      traceId: 'abc',
      source: 'gateway',
    };
    json(problem, 404)(res, call);
  }

  return {
    home,
    url,
    asked,
    routes,
    run: (argv, given = {}) => run(argv, home, given),
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      rmSync(home, { recursive: true, force: true });
    },
  };
}

async function run(argv: readonly string[], home: string, { io, composition, signal }: RunOptions): Promise<Ran> {
  let [out, err] = ['', ''];
  const code = await runCli(argv, {
    io: {
      env: { SUTAZ_HOME: home },
      cwd: home,
      out: (text) => void (out += text),
      err: (text) => void (err += text),
      drained: () => Promise.resolve(),
      ...{ outTty: false, errTty: false, inTty: false },
      readInput: () => Promise.resolve(''),
      columns: () => 100,
      prompt: () => () => Promise.resolve(null),
      ...io,
    },
    clock: processClock,
    interrupt: () => signal ?? new AbortController().signal,
    composition: {
      version: '1.2.3',
      self: ['false'],
      runPlatform: () => Promise.reject(new Fault('INTERNAL', 'no test may come here')),
      planOffline: () => Promise.reject(new Fault('INTERNAL', 'no test may come here')),
      validateCatalog: () => Promise.resolve({ checked: 0, problems: [] }),
      issuers: () => Promise.resolve([]),
      gpus: () => Promise.resolve(null),
      confinement: () =>
        Promise.resolve({ memory: 'cgroup', processes: 'cgroup', cpu: 'cgroup', files: 'landlock', noUsers: null }),
      ...composition,
    },
  });
  return { code, out, err };
}
