import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '#runtime/ports';
import { echoService, root, startPlatform } from '../../test/_platform.ts';
import type { TestPlatform } from '../../test/_platform.ts';
import { definitionOf, http, misbehaving } from '../../test/reliability/_upstream.ts';
import type { Manner, Misbehaving } from '../../test/reliability/_upstream.ts';

const ok = 'HTTP/1.1 200 OK';

/** What an upstream that misbehaves does, by path. */
const manners: Readonly<Record<string, Manner>> = {
  '/well': (socket) => void socket.write(http(ok, 'content-length: 2', '', 'ok')),
  '/reset': (socket) => void socket.resetAndDestroy(),
  '/in-head': (socket) => void socket.end(`${ok}\r\ncontent-`),
  '/garbage': (socket) => void socket.end('SSH-2.0-OpenSSH_9.2\r\n\r\n'),
  '/huge-head': (socket) => void socket.end(http(ok, `a: ${'x'.repeat(200_000)}`, 'content-length: 0', '', '')),
  '/short': (socket) => void socket.end(http(ok, 'content-length: 99', '', 'half')),
  '/odd-chunk': (socket) => void socket.end(http(ok, 'transfer-encoding: chunked', '', '2', 'ok', 'no', '', '')),
};
export const rawPaths: readonly string[] = Object.keys(manners);

const replicaProgram = `
  const server = require('node:http').createServer((req, res) => res.end('ok'));
  server.keepAliveTimeout = 60000;
  server.listen(Number(process.argv[1]), '127.0.0.1', () => process.stdout.write('listens'));
`;

/** A server in a process of its own, which may be killed and started again at its port. */
export interface Replica {
  start(): Promise<void>;
  kill(): Promise<void>;
}

async function startReplica(port: number): Promise<Replica> {
  let child: ChildProcess | undefined;
  const start = async () => {
    child = spawn(process.execPath, ['-e', replicaProgram, String(port)], { stdio: ['ignore', 'pipe', 'inherit'] });
    await once(child.stdout as NonNullable<ChildProcess['stdout']>, 'data');
  };
  await start();
  return {
    start,
    async kill() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** A platform that is killed and started again at one port, and what stands behind it. */
export interface World {
  readonly home: string;
  readonly port: number;
  readonly replicas: readonly Replica[];
  platform(): TestPlatform;
  /** SIGKILL, then another one in the same home. */
  restart(): Promise<void>;
  /** Puts a configuration in place whole, and has it read. */
  configure(text: string): Promise<void>;
  /** The exit code of the platform. */
  end(): Promise<number | null>;
}

const manyOf = (ports: readonly number[]): string => `id: many
name: Many
summary: The same at three places
category: tool
run:
  external:
    upstreams: [${ports.map((port) => `{ url: 'http://127.0.0.1:${port}' }`).join(', ')}]
    breaker: { open: 500ms, mostOpen: 1s }
resources: { memory: 0 }
`;

export async function openWorld(home: string): Promise<World> {
  const raw: Misbehaving = await misbehaving((socket, path) => manners[path]?.(socket, path));
  const [port, ...ports] = await Promise.all(Array.from({ length: 4 }, () => freePort()));
  const replicas = await Promise.all(ports.map(startReplica));
  const catalog = {
    'services/echo.yaml': echoService('echo', { dir: `${root}test` }),
    'services/raw.yaml': definitionOf('raw', raw.url),
    'services/many.yaml': manyOf(ports),
  };
  // On a machine with other work a start takes what it takes: what is looked for here is one that never comes.
  const start = () => startPlatform({ home, catalog, config: '', port: port as number, readyMs: 300_000 });
  let platform = await start();
  return {
    ...{ home, replicas, port: port as number, platform: () => platform },
    async restart() {
      await platform.kill9();
      platform = await start();
    },
    async configure(text) {
      const file = join(home, 'sutaz.yaml');
      await writeFile(`${file}.new`, text);
      await rename(`${file}.new`, file);
      process.kill(platform.pid, 'SIGHUP');
    },
    async end() {
      const code = await platform.stop();
      await Promise.all([raw.close(), ...replicas.map((replica) => replica.kill())]);
      return code;
    },
  };
}
