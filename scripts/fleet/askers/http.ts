import { WebSocket } from 'undici';

/** Calls of a service's own API through the door, in the session that it keeps by cookies. */
export interface Session {
  /** The answer's JSON. Throws for any status but one of success, with what was said. */
  call(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<unknown>;
  /** A WebSocket to it, which closes when the session is called off. Whoever has it closes it. */
  connect(path: string): WebSocket;
}

export function createSession(base: string, key: string, signal: AbortSignal): Session {
  const cookies = new Map<string, string>();
  return {
    async call(method, path, body, headers = {}) {
      const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ');
      const response = await fetch(`${base}${path}`, {
        ...{ method, signal },
        headers: { 'x-sutaz-key': key, 'content-type': 'application/json', cookie, ...headers },
        ...(body !== undefined && { body: JSON.stringify(body) }),
      });
      for (const set of response.headers.getSetCookie()) {
        const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
        cookies.set(name, value);
      }
      const text = await response.text();
      if (!response.ok) throw new Error(`${method} ${path} answered ${response.status}: ${text.slice(0, 500)}`);
      return text === '' ? null : (JSON.parse(text) as unknown);
    },
    connect(path) {
      const socket = new WebSocket(`${base}${path}`.replace(/^http/, 'ws'), { headers: { 'x-sutaz-key': key } });
      signal.addEventListener('abort', () => socket.close(), { once: true });
      return socket;
    },
  };
}

/** What stands at a place of an answer, as text. */
export function textAt(value: unknown, ...keys: readonly string[]): string {
  let found = value;
  for (const key of keys) found = (found as Readonly<Record<string, unknown>> | null | undefined)?.[key];
  if (typeof found !== 'string')
    throw new Error(`nothing at ${keys.join('.')}: ${JSON.stringify(value).slice(0, 500)}`);
  return found;
}
