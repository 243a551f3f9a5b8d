import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { hasIt } from '../compression/fixed.ts';
import type { Exchange } from '../exchange.ts';
import { hasBody } from '../headers.ts';
import type { Headers } from '../middlewares/middleware.ts';
import { newUse } from './counts.ts';
import type { HttpCacheCounts, HttpCacheUse } from './counts.ts';
import { capture } from './capture.ts';
import type { Uncaptured } from './capture.ts';
import { freshnessOf } from './policy.ts';
import type { AskedFor } from './policy.ts';
import { createHttpStore, fits } from './store.ts';
import type { HttpStore, StoredAnswer } from './store.ts';

export interface HttpCacheSettings {
  /** Bytes. */
  readonly memory: number;
  /** Whether an answer to one caller may be given to another. */
  readonly shared: boolean;
}

/** What is kept of the answers of one route. */
export interface HttpCache {
  readonly settings: HttpCacheSettings;
  readonly store: HttpStore;
  readonly use: HttpCacheUse;
  /** Those under way that may be kept, by caller and address: they end when it is known whether they are. */
  readonly flights: Map<string, Promise<void>>;
}

export function createHttpCache(settings: HttpCacheSettings): HttpCache {
  const use = newUse();
  const store = createHttpStore(settings.memory, (answers) => void (use.evicted += answers));
  return { settings, store, use, flights: new Map() };
}

/** Where a request of a route goes. */
export interface Going {
  /** Path and query as the service sees them. */
  readonly path: string;
  /** What the client's path has before that. */
  readonly prefix: string;
  /** Sends it there. */
  onward(): Promise<void>;
}

/** Milliseconds that a request waits for another one's answer: its client may read it slowly. */
const patienceMs = 5_000;

/**
 * Answers with what is kept, or has the service answer. In this order:
 * 1. what is not a plain read goes on; an unsafe one that succeeds makes what is kept of its address void;
 * 2. what is kept and fresh is the answer;
 * 3. while another request for the same is on its way, its answer is waited for, once;
 * 4. what is kept and stale is asked about, where the service gave something to ask by: 304 makes it fresh again;
 * 5. anything else the service answers, and it is kept where that is declared.
 */
export async function throughHttpCache(
  cache: HttpCache,
  exchange: Exchange,
  going: Going,
  clock: Clock,
): Promise<void> {
  const asked = askedOf(exchange, going.path);
  const who = cache.settings.shared ? '' : (exchange.principal?.id ?? '');
  const why = whyPassed(exchange, asked, cache.settings);
  if (why !== null) {
    cache.use.requests.bypass++;
    return passOn(cache, exchange, going, why); // 1
  }
  const find = () => cache.store.all(going.path).find((one) => fits(one, asked, who));
  const known = find();
  const give = (kept: StoredAnswer, as: keyof HttpCacheCounts, status: string) => {
    cache.use.requests[as]++;
    cache.use.sparedBytes += kept.body.byteLength;
    sendKept(exchange, kept, status);
  };
  if (known?.freshness.satisfies(asked)) return give(known, 'hit', hitStatus(known)); // 2
  if (/\bonly-if-cached\b/i.test(asked.headers['cache-control'] ?? '')) {
    throw new Fault('TIMEOUT', 'No answer is kept to this, and only-if-cached wants no other.');
  }
  const key = `${who}\n${going.path}`;
  const flight = cache.flights.get(key);
  if (flight) {
    await settled(flight, exchange.signal, clock); // 3
    const come = find();
    if (come?.freshness.satisfies(asked)) return give(come, 'collapsed', `sutaz; fwd=uri-miss; collapsed`);
  }
  const landing = Promise.withResolvers<void>();
  if (!cache.flights.has(key)) cache.flights.set(key, landing.promise);
  const land = () => {
    if (cache.flights.get(key) === landing.promise) cache.flights.delete(key);
    landing.resolve();
  };
  exchange.res.on('close', land);
  try {
    await ask({ cache, exchange, asked, who, going, known: find() ?? null, land }); // 4 and 5
  } finally {
    land();
  }
}

/** Why it is not looked for; null where it is. */
function whyPassed(exchange: Exchange, asked: AskedFor, { shared }: HttpCacheSettings): string | null {
  if (asked.method !== 'GET' && asked.method !== 'HEAD') return 'method';
  if (hasBody(exchange.req.headers) || asked.headers.range !== undefined) return 'bypass; detail=range-or-body';
  if (/\bno-store\b/i.test(asked.headers['cache-control'] ?? '')) return 'bypass; detail=no-store';
  // By a cookie a service knows people: what it says to one of them is not declared to be for all by a number of seconds.
  return shared && asked.headers.cookie !== undefined ? 'bypass; detail=cookie' : null;
}

/** The headers that go on, as far as they say who asks and what is wanted. */
function askedOf({ req, method, keyInAuthorization, keyInApiKey }: Exchange, url: string): AskedFor {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(req.headers)) {
    if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(', ') : value;
  }
  if (keyInAuthorization) delete headers.authorization;
  if (keyInApiKey) delete headers['x-api-key'];
  return { method, url, headers };
}

async function passOn(cache: HttpCache, exchange: Exchange, going: Going, why: string): Promise<void> {
  const isUnsafe = !['GET', 'HEAD', 'OPTIONS', 'TRACE'].includes(exchange.method);
  capture(exchange, {
    head(status, headers) {
      say(headers, `sutaz; fwd=${why}`);
      // Before the client hears of it: what it asks next must not be what was there before (RFC 9111, section 4.4).
      if (isUnsafe && status >= 200 && status < 400) for (const url of touched(going, headers)) cache.store.drop(url);
      return true;
    },
    body: () => undefined,
    end: () => undefined,
  });
  await going.onward();
}

/** The address, and those of the same service that the answer says it is about. */
function touched({ path, prefix }: Going, headers: Headers): string[] {
  const base = 'http://here';
  const named = ['location', 'content-location'].flatMap((name) => {
    const value = headers[name];
    if (typeof value !== 'string' || !URL.canParse(value, base + prefix + path)) return [];
    const { origin, pathname, search } = new URL(value, base + prefix + path);
    if (origin !== base || !pathname.startsWith(prefix)) return [];
    return [pathname.slice(prefix.length) + search];
  });
  return [path, ...named];
}

interface Asking {
  readonly cache: HttpCache;
  readonly exchange: Exchange;
  readonly asked: AskedFor;
  readonly who: string;
  readonly going: Going;
  readonly known: StoredAnswer | null;
  /** Whoever waits for this one need not any longer. */
  land(): void;
}

async function ask(asking: Asking): Promise<void> {
  const { cache, exchange, going, known, land } = asking;
  const { epoch } = cache.store;
  const status = missStatus(asking);
  const isAsked = known !== null && askAbout(exchange, known);
  let confirmed: Headers | null = null;
  let keeping: Keeping | null = null;
  const client = capture(exchange, {
    head(code, headers) {
      if (isAsked && code === 304) {
        confirmed = headers;
        return false;
      }
      cache.use.requests[known ? 'stale' : 'miss']++;
      keeping = keepingOf(asking, code, headers);
      if (!keeping) land();
      say(headers, `sutaz; ${status}${keeping ? '; stored' : ''}`);
      return true;
    },
    body(chunk) {
      if (!keeping) return;
      keeping.bytes += chunk.byteLength;
      if (keeping.bytes <= cache.store.largest) return void keeping.chunks.push(Buffer.from(chunk));
      keeping = null;
      land();
    },
    end() {
      if (keeping && epoch === cache.store.epoch) keep(asking, keeping);
      land();
    },
  });
  await going.onward();
  if (confirmed === null || known === null) return;
  cache.use.requests.revalidated++;
  cache.use.sparedBytes += known.body.byteLength;
  const fresh = confirmedBy(asking, known, confirmed);
  if (epoch === cache.store.epoch) cache.store.put(going.path, fresh);
  sendStored(exchange, asking.asked, fresh, `sutaz; ${status}; fwd-status=304`, client);
}

const missStatus = ({ cache, going, known }: Asking): string => {
  if (known) return known.freshness.stale ? 'fwd=stale' : 'fwd=request';
  return cache.store.all(going.path).length > 0 ? 'fwd=vary-miss' : 'fwd=uri-miss';
};

/** Has the service asked whether it is still the same. False where there is nothing to ask by. */
function askAbout({ req }: Exchange, { headers: { etag, 'last-modified': changed } }: StoredAnswer): boolean {
  if (typeof etag !== 'string' && typeof changed !== 'string') return false;
  delete req.headers['if-none-match'];
  delete req.headers['if-modified-since'];
  if (typeof etag === 'string') req.headers['if-none-match'] = etag;
  else if (typeof changed === 'string') req.headers['if-modified-since'] = changed;
  return true;
}

interface Keeping {
  readonly answer: Omit<StoredAnswer, 'body'>;
  readonly chunks: Buffer[];
  readonly length: number | null;
  bytes: number;
}

/** Headers that are of one exchange: they are said anew each time, or not at all. */
const ofOne = [
  'server-timing',
  'x-sutaz-trace-id',
  'cache-status',
  'ratelimit',
  'ratelimit-policy',
  'age',
  'connection',
];

function keepingOf({ asked, who, cache }: Asking, status: number, headers: Headers): Keeping | null {
  // HEAD says nothing that GET could be answered with; what the door says itself, no service declared.
  if (asked.method !== 'GET' || headers['x-sutaz-source'] === 'gateway' || headers['set-cookie'] !== undefined)
    return null;
  const answer = answerOf(asked, who, status, headers);
  const length = headers['content-length'] === undefined ? null : Number(headers['content-length']);
  if (!answer || (length ?? 0) > cache.store.largest) return null;
  return { answer, chunks: [], length, bytes: 0 };
}

function answerOf(
  asked: AskedFor,
  caller: string,
  status: number,
  headers: Headers,
): Omit<StoredAnswer, 'body'> | null {
  const type = String(headers['content-type'] ?? '');
  const names = [headers.vary ?? []]
    .flat()
    .join(',')
    .toLowerCase()
    .split(/\s*,\s*/)
    .filter(Boolean);
  if (names.includes('*') || type.startsWith('text/event-stream')) return null;
  const freshness = freshnessOf(asked, status, joined(headers));
  if (!freshness) return null;
  const kept = Object.entries(headers).filter(([name, value]) => value !== undefined && !ofOne.includes(name));
  const vary = names.map((name) => [name, asked.headers[name]] as const);
  const tags = wordsOf(headers['cache-tag']);
  return { status, headers: Object.fromEntries(kept) as StoredAnswer['headers'], freshness, caller, vary, tags };
}

const wordsOf = (value: Headers[string]): string[] =>
  [value ?? []]
    .flat()
    .join(',')
    .split(/[\s,]+/)
    .filter(Boolean);

const joined = (headers: Headers): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, [value].flat().join(', ')]],
    ),
  );

function keep({ cache, going }: Asking, { answer, chunks, bytes, length }: Keeping): void {
  if (length === null || length === bytes) cache.store.put(going.path, { ...answer, body: Buffer.concat(chunks) });
}

/** The same with what the service says of it now (RFC 9111, section 4.3.4). */
function confirmedBy({ asked, who }: Asking, known: StoredAnswer, said: Headers): StoredAnswer {
  const news = Object.entries(said).filter(([name]) => !/^content-(length|encoding|range|type)$/.test(name));
  const headers = { ...known.headers, ...Object.fromEntries(news) };
  const { age, ...rest } = { age: undefined, ...headers };
  const answer = answerOf(asked, who, known.status, age === undefined ? rest : { ...rest, age });
  return answer ? { ...answer, body: known.body } : known;
}

const hitStatus = ({ freshness }: StoredAnswer): string => `sutaz; hit; ttl=${freshness.leftSeconds}`;

function sendKept(exchange: Exchange, kept: StoredAnswer, status: string): void {
  const { res } = exchange;
  const send: Uncaptured['send'] = (code, headers, body) => {
    exchange.answered = true;
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) res.setHeader(name, value);
    res.writeHead(code).end(body ?? undefined);
  };
  sendStored(exchange, askedOf(exchange, ''), kept, status, { send });
}

/** To who has it already only that it is the same. */
function sendStored(exchange: Exchange, asked: AskedFor, kept: StoredAnswer, status: string, client: Uncaptured): void {
  const headers: Headers = {
    ...kept.headers,
    age: String(kept.freshness.ageSeconds),
    'x-sutaz-trace-id': exchange.traceId,
  };
  say(headers, status);
  const { etag, 'last-modified': changed } = kept.headers;
  const none = asked.headers['if-none-match'];
  const since = none === undefined ? asked.headers['if-modified-since'] : undefined;
  const has =
    hasIt(none, typeof etag === 'string' ? etag : '') ||
    (since !== undefined && typeof changed === 'string' && Date.parse(changed) <= Date.parse(since));
  if (has && kept.status === 200) {
    for (const name of ['content-length', 'content-type', 'content-encoding', 'transfer-encoding'])
      delete headers[name];
    return client.send(304, headers, null);
  }
  delete headers['transfer-encoding'];
  headers['content-length'] = String(kept.body.byteLength);
  client.send(kept.status, headers, exchange.method === 'HEAD' ? null : kept.body);
}

/** After what caches before this one said (RFC 9211). */
function say(headers: Headers, status: string): void {
  const before = headers['cache-status'];
  headers['cache-status'] = before === undefined ? status : `${[before].flat().join(', ')}, ${status}`;
}

/** Resolves when the other request is through, this client has left, or it has been long enough. */
async function settled(flight: Promise<void>, signal: AbortSignal, clock: Clock): Promise<void> {
  const enough = Promise.withResolvers<void>();
  const cancel = clock.after(patienceMs, enough.resolve);
  signal.addEventListener('abort', () => enough.resolve(), { once: true });
  try {
    await Promise.race([flight, enough.promise]);
  } finally {
    cancel();
  }
  if (signal.aborted) throw signal.reason;
}
