import { Agent, request } from 'node:http';
import type { RequestOptions } from 'node:http';

export interface Answer {
  /** When it was asked, as `performance.now()`. */
  readonly at: number;
  /** Milliseconds to the end of the answer. */
  readonly ms: number;
  /** 0 for one that broke off, or of which nothing came. */
  readonly status: number;
}

export interface Client {
  /** Never rejects. */
  ask(path: string, options?: RequestOptions & { readonly body?: string | Buffer }): Promise<Answer>;
  close(): void;
}

/** A client over connections that it keeps, so many at most. */
export function createClient({ port, key }: { readonly port: number; readonly key: string }, sockets: number): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets });
  return {
    ask: (path, { body, headers, ...options } = {}) =>
      new Promise((resolve) => {
        const at = performance.now();
        const end = (status: number) => resolve({ at, ms: performance.now() - at, status });
        const all = { authorization: `Bearer ${key}`, ...(headers as Record<string, string> | undefined) };
        const req = request({ host: '127.0.0.1', port, agent, path, ...options, headers: all }, (res) => {
          res.on('close', () => end(res.complete ? (res.statusCode ?? 0) : 0)).on('error', () => undefined);
          res.resume();
        });
        req.on('error', () => end(0)).end(body);
      }),
    close: () => agent.destroy(),
  };
}

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** So many a second for so long, whether or not those before are answered. Resolves when the last one is. */
export async function atRate<T>(perSecond: number, ms: number, ask: () => Promise<T>): Promise<T[]> {
  const asked: Promise<T>[] = [];
  const began = performance.now();
  for (let passed = 0; passed < ms; passed = performance.now() - began) {
    while (asked.length < (passed / 1_000) * perSecond) asked.push(ask());
    await pause(2);
  }
  return Promise.all(asked);
}

/** So many who ask one after the other, for so long. */
export async function inTurn<T>(askers: number, ms: number, ask: () => Promise<T>): Promise<T[]> {
  const until = performance.now() + ms;
  const one = async () => {
    const own: T[] = [];
    while (performance.now() < until) own.push(await ask());
    return own;
  };
  return (await Promise.all(Array.from({ length: askers }, one))).flat();
}
