import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ApiState, ApiUnit } from '#contracts/api';
import { noteHome } from './_leftovers.ts';
import { exited, until } from './_processes.ts';

export const root = new URL('..', import.meta.url).pathname;

/** The home that all integration tests of a run share (`_setup.ts`). */
export const testHome = (): string => {
  const home = process.env.SUTAZ_TEST_HOME;
  if (!home) throw new Error('SUTAZ_TEST_HOME is not set: run this through the integration project.');
  return home;
};

export interface TestPlatform {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  readonly key: string;
  readonly home: string;
  /** A request with the key. */
  fetch(path: string, init?: RequestInit): Promise<Response>;
  state(): Promise<ApiState>;
  unit(name: string): Promise<ApiUnit>;
  /** Waits, within bounds, until a unit is in one of the states. */
  untilState(name: string, ...states: ApiUnit['state'][]): Promise<ApiUnit>;
  kill9(): Promise<void>;
  /** SIGTERM, and waits for the end. Returns the exit code. */
  stop(): Promise<number | null>;
}

export interface StartOptions {
  /** The text of `sutaz.yaml`; without it there is none. */
  readonly config?: string;
  /** The user's own definitions by file: `services/x.yaml`. Those of an earlier test are removed. */
  readonly catalog?: Readonly<Record<string, string>>;
  readonly memory?: string;
  readonly home?: string;
  /** Where it listens; anywhere without it. */
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** Milliseconds that it may take to be ready (60,000). */
  readonly readyMs?: number;
}

/** Starts a real platform, in a process of its own, as `./sutaz up` does once everything is installed. */
export async function startPlatform(options: StartOptions = {}): Promise<TestPlatform> {
  const home = options.home ?? testHome();
  await prepare(home, options);
  // A benchmark has no test home and ends its platform by itself.
  if (process.env.SUTAZ_TEST_HOME) await noteHome(process.env.SUTAZ_TEST_HOME, home);
  const flags = [
    'up',
    '--home',
    home,
    '--port',
    String(options.port ?? 0),
    ...(options.memory ? ['--memory', options.memory] : []),
  ];
  const argv = ['--conditions=source', '--disable-warning=ExperimentalWarning', join(root, 'src/cli.ts'), ...flags];
  const child = spawn(process.execPath, argv, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...options.env },
  });
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => (errors += chunk.toString()));
  const facts = await announced(child, home, { errors: () => errors, readyMs: options.readyMs ?? 60_000 });
  return platformAt(home, facts, child);
}

async function prepare(home: string, { config, catalog = {} }: StartOptions): Promise<void> {
  await mkdir(home, { recursive: true });
  await rm(join(home, 'catalog'), { recursive: true, force: true });
  await rm(join(home, 'sutaz.yaml'), { force: true });
  if (config !== undefined) await writeFile(join(home, 'sutaz.yaml'), config);
  for (const [file, text] of Object.entries(catalog)) await define(home, file, text);
}

/** Writes one of the user's own definitions, as an editor would. */
export async function define(home: string, file: string, text: string): Promise<void> {
  const path = join(home, 'catalog', file);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
}

interface Facts {
  readonly url: string;
  readonly pid: number;
}

async function announced(
  child: ChildProcess,
  home: string,
  { errors, readyMs }: { readonly errors: () => string; readonly readyMs: number },
): Promise<Facts> {
  let found: Facts | undefined;
  await until(
    async () => {
      const end = child.exitCode ?? child.signalCode;
      if (end !== null) throw new Error(`The platform ended with ${end}: ${errors()}`);
      const text = await readFile(join(home, 'platform.json'), 'utf8').catch(() => '');
      const facts = text === '' ? undefined : (JSON.parse(text) as Facts);
      if (facts?.pid === child.pid) found = facts;
      return found !== undefined;
    },
    'the platform to be ready',
    readyMs,
  );
  return found as Facts;
}

async function platformAt(home: string, { url, pid }: Facts, child: ChildProcess): Promise<TestPlatform> {
  const key = (await readFile(join(home, 'keys/admin.key'), 'utf8')).trim();
  const ask = (path: string, init: RequestInit = {}) => {
    const headers = new Headers(init.headers);
    if (!headers.has('authorization')) headers.set('authorization', `Bearer ${key}`);
    return fetch(`${url}${path}`, { ...init, headers });
  };
  const unit = async (name: string) =>
    (await (await ask(`/sutaz/v1/units/${encodeURIComponent(name)}`)).json()) as ApiUnit;
  const ended = async () => {
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  };
  return {
    ...{ url, pid, key, home, fetch: ask, unit },
    port: Number(new URL(url).port),
    state: async () => (await (await ask('/sutaz/v1/state')).json()) as ApiState,
    async untilState(name, ...states) {
      let last: ApiUnit | undefined;
      const reached = async () => states.includes((last = await unit(name)).state);
      await until(reached, `${name} to be ${states.join(' or ')}`, 90_000).catch((error: unknown) => {
        throw new Error(`${String(error)} It is ${last?.state}: ${last?.why}`);
      });
      return last as ApiUnit;
    },
    async kill9() {
      process.kill(pid, 'SIGKILL');
      await ended();
    },
    async stop() {
      if (!exited(pid)) process.kill(pid, 'SIGTERM');
      await ended();
      return child.exitCode;
    },
  };
}

export interface Seen {
  readonly event: string;
  readonly data: unknown;
}

/** Follows a stream of server-sent events; `stop` ends it. */
export function followEvents(
  platform: TestPlatform,
  path = '/sutaz/v1/events',
): { readonly seen: Seen[]; stop(): Promise<void> } {
  const controller = new AbortController();
  const seen: Seen[] = [];
  const read = async () => {
    const response = await platform.fetch(path, { signal: controller.signal });
    let rest = '';
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      rest += Buffer.from(chunk).toString();
      const blocks = rest.split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = /^event: (.*)$/m.exec(block)?.[1] ?? 'message';
        const data = /^data: (.*)$/m.exec(block)?.[1];
        if (data !== undefined) seen.push({ event, data: data === '[DONE]' ? data : JSON.parse(data) });
      }
    }
  };
  const done = read().catch((error: unknown) => {
    if (!controller.signal.aborted) throw error;
  });
  return {
    seen,
    async stop() {
      controller.abort();
      await done;
    },
  };
}

/**
 * A tiny service that needs nothing installed: a Node program in the definition's own folder. It answers every path with
 * what it was asked, after `delayMs` at its start; `/sse` streams, `/slow` waits, WebSockets echo.
 */
export function echoService(
  id: string,
  options: { memory?: string; delayMs?: number; idle?: string; extra?: string; dir: string },
): string {
  return `id: ${id}
name: Echo ${id}
summary: Answers with what it was asked
category: tool
run:
  process:
    command: [node, '${options.dir}/echo.mjs', '{port}', '${options.delayMs ?? 0}', '{data}']
health: { http: /health, startupTimeout: 20s }
resources: { memory: ${options.memory ?? '64MiB'} }
idle: { after: ${options.idle ?? '10m'}, rung: cold }
${options.extra ?? ''}`;
}

/** The definition of a second model that is the same file under another name: its memory is its own all the same. */
export const twinModel = (): string => `id: twin:135m
name: Twin
summary: The same weights again
engine: llama
size: 98MiB
sources:
  - file: { path: '${process.env.SUTAZ_TEST_MODEL}' }
`;
