import { execFileSync, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { access, mkdir, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { freePort } from '#runtime/ports';
import { startPlatform } from '../../test/_platform.ts';
import { until } from '../../test/_processes.ts';
import { usage } from '../_options.ts';

/** Something that answers the requests of the bench. */
export interface Target {
  readonly name: string;
  readonly port: number;
  /** Null for what is measured without anything in between. */
  readonly pid: number | null;
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  /** What its requests ask beside what all are asked. */
  readonly more?: Readonly<Record<string, unknown>>;
  stop(): Promise<void>;
}

export interface Place {
  /** A folder of the bench's own. */
  readonly home: string;
  /** The port of the upstream that all of them lead to. */
  readonly mock: number;
}

/** Core 0 is the proxy's alone; whoever asks and whoever answers share core 1. */
export const onCore = (core: 0 | 1, command: string, ...argv: string[]): [string, string[]] => [
  'taskset',
  ['-c', String(core), command, ...argv],
];

const root = new URL('../..', import.meta.url).pathname;

/** Compiles the programs of the bench. Throws what has to be installed first. */
export function compile(home: string): { readonly mock: string; readonly streams: string } {
  for (const tool of ['gcc', 'nginx', 'wrk', 'taskset']) {
    try {
      execFileSync('sh', ['-c', `command -v ${tool}`]);
    } catch {
      throw usage(`${tool} is missing: apt-get install gcc nginx wrk util-linux`);
    }
  }
  const built = (name: string) => {
    execFileSync('gcc', ['-O2', '-o', join(home, name), join(root, `bench/door/${name}.c`)]);
    return join(home, name);
  };
  return { mock: built('mock'), streams: built('streams') };
}

const definitions = (mock: string) => ({
  'services/mock.yaml': `id: mock
name: Mock
summary: Answers with what it always answers
category: inference
kind: engine
models: remote
run: { process: { command: [taskset, -c, '1', '${mock}', '{port}'] } }
health: { http: /health }
resources: { memory: 16MiB, gpu: none, concurrency: 1024 }
idle: { after: 10h }
provides: [openai.chat]
`,
  'models/mock.yaml': `id: mock-model
name: Mock
summary: A model that always says the same
engine: mock
slots: 1024
size: 1MiB
idle: { after: 10h }
`,
});

/** The platform as it is started by anyone, with one model whose engine is the mock. */
export async function startDoor(home: string, mock: string): Promise<Target & { readonly mockPort: number }> {
  const platform = await startPlatform({ home: join(home, 'platform'), catalog: definitions(mock) });
  execFileSync('taskset', ['-a', '-c', '-p', '0', String(platform.pid)]);
  const body = JSON.stringify({ model: 'mock-model', messages: [] });
  const response = await platform.fetch('/v1/chat/completions', { method: 'POST', body });
  if (!response.ok) throw new Error(`The door answers ${response.status}: ${await response.text()}`);
  return {
    ...{ name: 'door', port: platform.port, pid: platform.pid, key: platform.key, headers: {} },
    mockPort: instancePort(platform.home),
    stop: async () => void (await platform.stop()),
  };
}

/** The same with its cache on, and with a limit to count for: it is asked what it has kept an answer to. */
export async function startHit({ home }: Place): Promise<Target> {
  const config = `cache: { memory: 16MiB, age: 10h }
limits: { rules: [{ name: bench, each: key, requests: 100M/minute }] }
`;
  const platform = await startPlatform({
    ...{ home: join(home, 'platform-hit'), config, catalog: definitions(join(home, 'mock')) },
  });
  execFileSync('taskset', ['-a', '-c', '-p', '0', String(platform.pid)]);
  const { port, pid, key } = platform;
  const stop = async () => void (await platform.stop());
  return { name: 'hit', port, pid, key, headers: {}, more: { temperature: 0 }, stop };
}

function instancePort(home: string): number {
  const db = new DatabaseSync(join(home, 'state.db'), { readOnly: true });
  try {
    const found = db.prepare("SELECT value FROM state WHERE tab = 'instances' AND key = 'model/mock-model'").get();
    return (JSON.parse(String(found?.value)) as { port: number }).port;
  } finally {
    db.close();
  }
}

/** Starts one that is given its port; resolves when it listens. */
async function started(name: string, port: number, argv: [string, string[]], more: Partial<Target> = {}) {
  const child = spawn(...argv, { stdio: ['ignore', 'ignore', 'inherit'] });
  await until(async () => {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}.`);
    return listens(port);
  }, `${name} to listen`);
  return { name, port, pid: child.pid ?? null, key: 'none', headers: {}, stop: () => ended(child), ...more };
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    const settle = (ok: boolean) => {
      socket.destroy();
      resolve(ok);
    };
    socket.on('connect', () => settle(true)).on('error', () => settle(false));
  });
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

export const direct = ({ mock }: Place): Target => ({
  ...{ name: 'direct', port: mock, pid: null, key: 'none', headers: {} },
  stop: async () => undefined,
});

export async function startNginx({ home, mock }: Place): Promise<Target> {
  const folder = join(home, 'nginx');
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((one) => `${one}_temp_path ${folder}/t;`);
  await writeFile(
    join(folder, 'nginx.conf'),
    `worker_processes 1; daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log warn;
events { worker_connections 8192; }
http {
  access_log off; keepalive_requests 100000000; ${temporary.join(' ')}
  upstream mock { server 127.0.0.1:${mock}; keepalive 1024; keepalive_requests 100000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://mock; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off; }
  }
}
`,
  );
  return started('nginx', port, onCore(0, 'nginx', '-p', folder, '-c', join(folder, 'nginx.conf')));
}

export async function startStatic(): Promise<Target> {
  const port = await freePort();
  return started('static', port, onCore(0, process.execPath, join(root, 'bench/door/static.ts'), String(port)));
}

/** With newer versions of these two it answers streams with 500. */
const portkeyPackage = {
  private: true,
  dependencies: { '@portkey-ai/gateway': '1.15.2' },
  overrides: { '@hono/node-server': '1.13.5', hono: '4.9.7' },
};

export async function startPortkey({ home, mock }: Place): Promise<Target> {
  const folder = join(home, 'portkey');
  const script = join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js');
  const isThere = await access(script).then(
    () => true,
    () => false,
  );
  if (!isThere) {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, 'package.json'), JSON.stringify(portkeyPackage));
    execFileSync('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts'], { cwd: folder, stdio: 'ignore' });
  }
  const port = await freePort();
  const headers = { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `http://127.0.0.1:${mock}/v1` };
  const argv = onCore(0, process.execPath, script, `--port=${port}`, '--headless');
  return started('portkey', port, argv, { headers });
}
