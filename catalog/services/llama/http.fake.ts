import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach } from 'vitest';
import { createFakeEngine, type FakeEngine } from './engine.fake.ts';
import { createHost, type Host } from './http.ts';
import type { LogFields } from './log.ts';

export const key = 'sk-secret';
const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

export interface Running {
  readonly host: Host;
  readonly engine: FakeEngine;
  readonly url: string;
  readonly logs: { readonly event: string; readonly fields: LogFields }[];
  /** Resolves with the next log line of this event. */
  logged(event: string): Promise<LogFields>;
}

/** A host on a port of its own before a fake engine; closed after the test. */
export async function start(
  options: { slots?: number; loaded?: boolean; contextTokens?: number } = {},
): Promise<Running> {
  const engine = createFakeEngine(options);
  const logs: Running['logs'] = [];
  const listeners: ((event: string, fields: LogFields) => void)[] = [];
  let clock = 0;
  let ids = 0;
  const host = createHost({
    key,
    modelId: 'small',
    log(event, fields = {}) {
      logs.push({ event, fields });
      for (const listener of listeners) listener(event, fields);
    },
    now: () => (clock += 1),
    wallClock: () => 1_700_000_000_000,
    newId: () => `id${String(++ids)}`,
    maxBodyBytes: 2000,
  });
  if (options.loaded !== false) host.ready(engine);
  host.server.listen(0, '127.0.0.1');
  await once(host.server, 'listening');
  closers.push(async () => {
    host.server.closeAllConnections();
    if (host.server.listening) await new Promise((resolve) => host.server.close(resolve));
  });
  const { port } = host.server.address() as AddressInfo;
  const logged = (wanted: string) =>
    new Promise<LogFields>((resolve) =>
      listeners.push((event, fields) => {
        if (event === wanted) resolve(fields);
      }),
    );
  return { host, engine, url: `http://127.0.0.1:${String(port)}`, logs, logged };
}

export const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' };
export const post = (url: string, body: unknown) =>
  fetch(url, { method: 'POST', headers, body: typeof body === 'string' ? body : JSON.stringify(body) });
export const chatBody = { model: 'any', messages: [{ role: 'user', content: 'hello' }] };
export const chat = ({ url }: Running, extra: object = {}) =>
  post(`${url}/v1/chat/completions`, { ...chatBody, ...extra });
export const errorOf = async (response: Response) =>
  ((await response.json()) as { error: Record<string, unknown> }).error;
