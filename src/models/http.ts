import type { Readable } from 'node:stream';
import type * as Undici from 'undici';
import { abortFault } from '#kernel/abort';
import { Fault, systemCode } from '#kernel/faults';

/** One answer, its body unread. Whoever asked reads it or calls `discard`. */
export interface HttpReply {
  readonly status: number;
  header(name: string): string | undefined;
  readonly body: Readable;
  /** Where the answer came from in the end, after redirects. */
  readonly url: URL;
  discard(): void;
}

export interface HttpAsk {
  readonly method?: 'GET' | 'HEAD';
  readonly headers?: Readonly<Record<string, string>>;
  /** `Authorization`, sent to the first origin alone: redirects to storage servers must not learn it. */
  readonly authorization?: string;
  /** Called with each redirect before it is followed; false returns that answer instead. */
  readonly follow?: (reply: HttpReply, to: URL) => boolean;
  readonly signal: AbortSignal;
}

/** An HTTP client that takes the proxies of the environment (`HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`). */
export interface Http {
  ask(url: URL, ask: HttpAsk): Promise<HttpReply>;
  close(): Promise<void>;
}

const mostRedirects = 5;
const connectMs = 15_000;

/** Opens a client; its library is loaded on the first request, since most runs of the platform never pull. */
export function openHttp(): Http {
  let agent: Promise<{ readonly dispatcher: Undici.Dispatcher; readonly request: typeof Undici.request }> | undefined;
  const load = async () => {
    const { EnvHttpProxyAgent, request } = await import('undici');
    // Its own timers are off: `download.ts` watches the clock, so that a stalled transfer is retried and tests need not wait.
    const dispatcher = new EnvHttpProxyAgent({ bodyTimeout: 0, headersTimeout: 0, connect: { timeout: connectMs } });
    return { dispatcher, request };
  };
  return {
    async ask(first, { method = 'GET', headers = {}, authorization, follow = () => true, signal }) {
      const { dispatcher, request } = await (agent ??= load().catch((error: unknown) => {
        agent = undefined;
        throw error;
      }));
      let url = first;
      for (let redirects = 0; ; redirects++) {
        const secret = url.origin === first.origin ? (authorization ?? basic(first)) : undefined;
        const reply = await request(withoutUser(url), {
          method,
          dispatcher,
          signal,
          // Compressed bytes would be other bytes: ranges and digests are of the file itself.
          headers: {
            'accept-encoding': 'identity',
            ...headers,
            ...(secret !== undefined && { authorization: secret }),
          },
        }).catch((error: unknown) => {
          throw transportFault(error, url, signal);
        });
        const answer = replyOf(reply, url);
        const to = redirectOf(answer);
        if (to === null || !follow(answer, to)) return answer;
        answer.discard();
        if (redirects >= mostRedirects) throw failed(`${shown(first)} redirects more than ${mostRedirects} times.`);
        if (url.protocol === 'https:' && to.protocol !== 'https:') {
          throw failed(`${shown(first)} redirects to an address that is not encrypted.`);
        }
        url = to;
      }
    },
    async close() {
      const opened = await agent?.catch(() => undefined);
      agent = undefined;
      await opened?.dispatcher.destroy();
    },
  };
}

/** An address as logs and errors may show it: no password and no query, which signed addresses carry their key in. */
export const shown = (url: URL): string => `${url.origin}${url.pathname}`;

const failed = (message: string): Fault => new Fault('UPSTREAM_FAILED', message, { source: 'upstream' });

/** What went wrong on the way, so that a download knows whether asking again helps. Null for an answer's own failure. */
export type Transport = 'unreachable' | 'cut';

export const transportOf = (error: unknown): Transport | null =>
  error instanceof Fault && (error.details['transport'] === 'unreachable' || error.details['transport'] === 'cut')
    ? error.details['transport']
    : null;

/** Codes of a machine that is not there at all: asking it again within seconds is rarely of use. */
const unreachable = new Set(['ENOTFOUND', 'ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);

/** Makes a transport error a Fault that names the host; the caller's own abort and Faults stay what they are. */
export function transportFault(error: unknown, url: URL, signal: AbortSignal): unknown {
  if (signal.aborted) return abortFault(signal);
  if (error instanceof Fault) return error;
  const code = systemCode(error) ?? (error instanceof Error ? error.message : String(error));
  const transport: Transport = unreachable.has(code) ? 'unreachable' : 'cut';
  const what = transport === 'cut' ? 'cut the connection' : 'can not be reached';
  return new Fault('UPSTREAM_FAILED', `${url.host} ${what} (${code}).`, {
    cause: error,
    source: 'upstream',
    details: { transport },
  });
}

function withoutUser(url: URL): URL {
  if (!url.username && !url.password) return url;
  const bare = new URL(url);
  [bare.username, bare.password] = ['', ''];
  return bare;
}

const basic = ({ username, password }: URL): string | undefined =>
  username || password
    ? `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString('base64')}`
    : undefined;

function replyOf(reply: Undici.Dispatcher.ResponseData, url: URL): HttpReply {
  return {
    status: reply.statusCode,
    header(name) {
      const value = reply.headers[name];
      return Array.isArray(value) ? value[0] : value;
    },
    body: reply.body,
    url,
    discard() {
      // An unread body left alone holds its connection, and its error on close would have no listener.
      reply.body.on('error', () => undefined).destroy();
    },
  };
}

function redirectOf(reply: HttpReply): URL | null {
  if (![301, 302, 303, 307, 308].includes(reply.status)) return null;
  const location = reply.header('location');
  const to = location === undefined ? null : URL.parse(location, reply.url.href);
  return to && ['http:', 'https:'].includes(to.protocol) ? to : null;
}
