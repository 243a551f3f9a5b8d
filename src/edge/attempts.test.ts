import { afterEach, describe, expect, it } from 'vitest';
import { unitId } from '#kernel/ids';
import { defaultBreaker } from '#resilience/breaker';
import { defaultHedge } from '#resilience/hedge';
import { defaultRetry } from '#resilience/retry';
import type { Policy } from '#routing/policy';
import { openDoor } from './door.fake.ts';
import type { Asking, OpenDoor } from './door.fake.ts';
import { manners, misbehaving, ok, placeAt } from './misbehaving.fake.ts';
import type { Manners, Misbehaving } from './misbehaving.fake.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

const until = async (done: () => boolean): Promise<void> => {
  while (!done()) await new Promise((resolve) => setImmediate(resolve));
};

async function server(behave: Manners): Promise<Misbehaving> {
  const one = await misbehaving(behave);
  closers.push(() => one.close());
  return one;
}

/** As elsewhere by default, with short waits of which the fake clock has nothing to tell. */
const policy: Partial<Policy> = {
  balance: 'round-robin',
  failing: new Set([502, 503, 504]),
  retry: { ...defaultRetry, firstMs: 0, reserve: 100 },
  breaker: { ...defaultBreaker, failures: 3 },
  timeouts: { tryMs: 1_000, totalMs: 10_000, idleMs: 2_000 },
};

/** A door before these places. The first one is asked first. */
async function doorTo(places: readonly Misbehaving[], more: Partial<Policy> = {}): Promise<OpenDoor> {
  const door = await openDoor(() => undefined);
  closers.push(() => door.close());
  door.world.treat({ ...policy, places: places.map((one) => placeAt(one)), ...more });
  return door;
}

const post: Asking = { method: 'POST', body: '{"model":"x"}', headers: { 'content-type': 'application/json' } };

interface Told {
  readonly status: number;
  readonly code?: string | undefined;
  readonly source?: string | undefined;
  readonly text?: string;
}

/** What the client gets; `broken` for an answer that has no end. Time passes for whatever waits for it. */
async function told(door: OpenDoor, asking: Asking = {}): Promise<Told | 'broken'> {
  const asked = door.ask('/services/x/', asking);
  let done = false;
  const finish = () => void (done = true);
  asked.then(finish, finish);
  // Nothing is seen of a try that waits for its time to be up: the clock is moved on until it has an end.
  while (!done) {
    await new Promise((resolve) => setTimeout(resolve, 2));
    door.clock.advance(100);
  }
  const answer = await asked.catch(() => null);
  if (!answer) return 'broken';
  const { code, source } = (/^\{/.test(answer.text) ? JSON.parse(answer.text) : {}) as Told;
  return { status: answer.status, ...(code === undefined ? { text: answer.text } : { code, source }) };
}

interface Row {
  /** What the client gets when it is the only one. */
  readonly alone: Told | 'broken';
  /** Tries of a read that it gets when it is alone. */
  readonly tries: number;
  /** Whether a read, and a write, is answered by a good one beside it. */
  readonly read: boolean;
  readonly write: boolean;
  /** Whether three in a row open its breaker. */
  readonly opens: boolean;
}

const failed = { status: 502, code: 'UPSTREAM_FAILED', source: 'gateway' };
const late = { status: 504, code: 'TIMEOUT', source: 'gateway' };
const before: Row = { alone: failed, tries: 3, read: true, write: false, opens: true };
const after: Row = { alone: 'broken', tries: 1, read: false, write: false, opens: true };

const table: Readonly<Record<keyof typeof manners | 'refuses', Row>> = {
  refuses: { ...before, tries: 0, write: true },
  hangs: { ...before, alone: late },
  'resets before its answer': before,
  'resets in its headers': before,
  'resets in its body': after,
  'resets in its stream': after,
  'closes its half': after,
  'answers garbage': before,
  'answers with two lengths': before,
  'answers with a megabyte of headers': before,
  'answers byte by byte': { ...before, alone: late },
  'says 1xx for ever': before,
  'answers 503': { ...before, alone: { status: 503, text: 'no' } },
  'asks for a pause': { alone: { status: 503, text: 'no' }, tries: 1, read: true, write: true, opens: false },
  'answers 500': { alone: { status: 500, text: 'oh' }, tries: 1, read: false, write: false, opens: false },
};

describe.each(Object.entries(table))('R8 crash-proof: an upstream that %s', (name, row) => {
  const bad = async (): Promise<Misbehaving> => {
    if (name !== 'refuses') return server(manners[name as keyof typeof manners]);
    const one = await server(ok);
    await one.close();
    return one;
  };
  const isGood = (answer: Told | 'broken') => answer !== 'broken' && answer.text === 'good';

  it('alone: the client is told, a read is tried again where that may help, and all leases come back', async () => {
    const one = await bad();
    const door = await doorTo([one], { breaker: null });
    expect(await told(door)).toEqual(row.alone);
    expect(one.seen).toBe(row.tries);
    const write = await told(door, post);
    expect(write === 'broken' || write.status >= 500).toBe(true);
    await until(() => door.world.leases === 0);
    expect(one.seen - row.tries).toBe(name === 'refuses' ? 0 : 1);
    // The door serves on.
    expect((await door.ask('/healthz')).status).toBe(200);
  });

  it(`beside a good one: it answers ${row.read ? 'reads' : 'no reads'}, ${row.write ? 'writes' : 'no writes'}`, async () => {
    const [one, good] = [await bad(), await server(ok)];
    for (const [asking, answered] of [[{}, row.read] as const, [post, row.write] as const]) {
      const door = await doorTo([one, good]);
      expect(isGood(await told(door, asking))).toBe(answered);
      await until(() => door.world.leases === 0);
    }
    expect(good.seen).toBe(Number(row.read) + Number(row.write));
  });

  it(`three times: its breaker ${row.opens ? 'opens' : 'stays closed'}`, async () => {
    const one = await bad();
    const door = await doorTo([one], { retry: { ...defaultRetry, tries: 1 } });
    for (let n = 0; n < 3; n++) await told(door);
    const seen = one.seen;
    const [upstream] = door.world.upstreams();
    expect(upstream?.state).toBe(row.opens ? 'open' : name === 'asks for a pause' ? 'resting' : 'closed');
    if (!row.opens) return;
    const answer = await door.ask('/services/x/');
    expect([answer.status, answer.headers['retry-after'], JSON.parse(answer.text)]).toMatchObject([
      ...[503, '1', { code: 'CIRCUIT_OPEN', source: 'gateway', upstreams: [{ id: one.url, state: 'open' }] }],
    ]);
    expect([one.seen, door.world.leases]).toEqual([seen, 0]);
  });
});

describe('an upstream that flaps', () => {
  it('is left alone while it is away, asked once when its time is up, and back when that is answered', async () => {
    const one = await server(ok);
    const door = await doorTo([one], { retry: { ...defaultRetry, tries: 1 } });
    const status = async () => (await door.ask('/services/x/')).status;
    expect(await status()).toBe(200);
    await one.close();
    for (let n = 0; n < 3; n++) expect(await status()).toBe(502);
    expect(await status()).toBe(503);
    door.clock.advance(1_000);
    // The probe finds it away: twice as long from now on.
    expect(await status()).toBe(502);
    door.clock.advance(1_999);
    expect(await status()).toBe(503);
    await one.listen();
    door.clock.advance(1);
    expect(await status()).toBe(200);
    expect(door.world.upstreams()[0]).toMatchObject({ state: 'closed', inFlight: 0, failures: 4 });
  });

  it('half-open lets one request through, and holds the others off until it has its answer', async () => {
    const one = await server(ok);
    const door = await doorTo([one], { retry: { ...defaultRetry, tries: 1 } });
    await one.close();
    for (let n = 0; n < 3; n++) await door.ask('/services/x/');
    await one.listen();
    let finish: (() => void) | undefined;
    one.behave = (socket, request) => void (finish = () => ok(socket, request));
    door.clock.advance(1_000);
    const probe = door.ask('/services/x/');
    await until(() => finish !== undefined);
    const others = await Promise.all(Array.from({ length: 5 }, () => door.ask('/services/x/')));
    expect(others.map(({ status }) => status)).toEqual([503, 503, 503, 503, 503]);
    finish?.();
    expect((await probe).status).toBe(200);
    expect(one.seen).toBe(1);
  });

  it('is sent others when the probe was one whose client left', async () => {
    const one = await server(ok);
    const door = await doorTo([one], { retry: { ...defaultRetry, tries: 1 } });
    await one.close();
    for (let n = 0; n < 3; n++) await door.ask('/services/x/');
    await one.listen();
    one.behave = () => undefined;
    door.clock.advance(1_000);
    const leaving = new AbortController();
    const probe = door.ask('/services/x/', { signal: leaving.signal });
    await until(() => one.seen === 1);
    leaving.abort();
    await expect(probe).rejects.toThrow();
    await until(() => door.world.leases === 0);
    one.behave = ok;
    expect((await door.ask('/services/x/')).status).toBe(200);
  });
});

describe('R6 first-byte-only retry', () => {
  const half = (socket: Parameters<Manners>[0]) =>
    void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf', () => socket.resetAndDestroy());

  it('never happens after a byte reached the client: nothing of a second answer follows the first', async () => {
    const [bad, good] = [await server(half), await server(ok)];
    const door = await doorTo([bad, good]);
    expect(await told(door)).toBe('broken');
    expect([bad.seen, good.seen]).toEqual([1, 0]);
  });

  it('nor for a stream that was begun: it ends with an error event and without an end', async () => {
    const [bad, good] = [await server(manners['resets in its stream']), await server(ok)];
    const door = await doorTo([bad, good]);
    await expect(door.ask('/v1/chat/completions', { ...post, body: '{"model":"x","stream":true}' })).rejects.toThrow();
    await until(() => door.world.leases === 0);
    expect(good.seen).toBe(0);
  });

  it('a body that was streamed is not repeated, though the place was never reached', async () => {
    const [bad, good] = [await server(ok), await server(ok)];
    await bad.close();
    const door = await doorTo([bad, good]);
    const huge = Buffer.alloc(2 * 2 ** 20, 'x');
    expect(await told(door, { method: 'PUT', body: huge })).toEqual(failed);
    expect(good.seen).toBe(0);
  });

  it('and the client that leaves ends it: nothing more is tried', async () => {
    const [bad, good] = [await server(manners.hangs), await server(ok)];
    const door = await doorTo([bad, good]);
    const leaving = new AbortController();
    const asked = door.ask('/services/x/', { signal: leaving.signal });
    await until(() => bad.seen === 1);
    leaving.abort();
    await expect(asked).rejects.toThrow();
    await until(() => bad.open === 0 && door.world.leases === 0);
    door.clock.advance(60_000);
    expect([good.seen, door.clock.pending]).toEqual([0, 0]);
    // That a client left says nothing of the upstream.
    expect(door.world.upstreams()[0]).toMatchObject({ failures: 0, state: 'closed' });
  });
});

describe('R10 retry-budget', () => {
  it('all answer 503: a fifth more requests at most, spread by jitter, and Retry-After is obeyed', async () => {
    const all = [await server(manners['answers 503']), await server(manners['answers 503'])];
    const door = await doorTo(all, { breaker: null, retry: defaultRetry });
    for (let n = 0; n < 200; n++) expect(await told(door)).toEqual({ status: 503, text: 'no' });
    const seen = all.reduce((sum, one) => sum + one.seen, 0);
    expect(seen).toBeGreaterThan(200);
    // A fifth within any ten seconds. These requests take longer, and where two windows meet a few more find room.
    expect(seen).toBeLessThanOrEqual(240 + defaultRetry.reserve);
  });

  it('a pause that is asked for is kept: the other one is asked meanwhile, and alone it is not asked again', async () => {
    const [tired, good] = [await server(manners['asks for a pause']), await server(ok)];
    const door = await doorTo([tired, good]);
    for (let n = 0; n < 10; n++) expect(await told(door)).toMatchObject({ status: 200 });
    expect([tired.seen, good.seen]).toEqual([1, 10]);
  });
});

describe('a try takes its time', () => {
  it('and an answer that stops is given up after the longest silence, but not because its reader is slow', async () => {
    const one = await server((socket) => void socket.write('HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf'));
    const door = await doorTo([one]);
    expect(await told(door)).toBe('broken');
    await until(() => door.world.leases === 0);
    expect(door.world.upstreams()[0]).toMatchObject({ lastFailure: 'service/x said nothing any more for 2 s.' });
  });

  it('all of them together have one limit', async () => {
    const one = await server(manners.hangs);
    const door = await doorTo([one], { timeouts: { tryMs: 1_000, totalMs: 1_500, idleMs: Infinity } });
    expect(await told(door)).toEqual(late);
    expect(one.seen).toBe(2);
  });
});

it('regression: what a person stopped is not woken again by a request that the stop cut', async () => {
  const place = await server(manners['resets before its answer']);
  const door = await doorTo([place]);
  door.world.stopped = true;
  expect(await told(door)).toMatchObject({ status: 502, code: 'UPSTREAM_FAILED' });
  expect(place.seen).toBe(1);
});

describe('a copy of requests', () => {
  it('goes to the mirror, marked, and nothing of it reaches the client or waits for it', async () => {
    const seen: string[] = [];
    const [one, copy] = [await server(ok), await server((_, request) => void seen.push(request))];
    const door = await doorTo([one], { mirror: { place: placeAt(copy), share: 1 } });
    const body = '{"a":1}';
    expect(await door.ask('/services/x/p?q=1', { method: 'POST', body })).toMatchObject({ status: 200, text: 'good' });
    await until(() => seen.length === 1);
    expect(seen[0]).toMatch(/^POST \/p\?q=1 HTTP\/1.1\r\n[^]*x-sutaz-mirror: 1\r\n[^]*\{"a":1\}$/i);
    expect(seen[0]).not.toContain('sutaz-admin');
    // The mirror answers none of them: no more than its bound are under way, and the client notices nothing.
    for (let n = 0; n < 30; n++) expect((await door.ask('/services/x/')).status).toBe(200);
    await until(() => copy.seen === 16);
    expect(one.seen).toBe(31);
  });
});

describe('a read that takes longer than nearly all', () => {
  const hedge = { ...defaultHedge, atLeast: 10, budget: 1 };

  it('is sent to a second place as well: the first answer counts, and the other one is ended', async () => {
    const [slow, quick] = [await server(ok), await server(ok)];
    const door = await doorTo([slow, quick], { hedge });
    for (let n = 0; n < 12; n++) expect((await door.ask('/services/x/')).status).toBe(200);
    slow.behave = manners.hangs;
    const [before, beside] = [slow.seen, quick.seen];
    const asked = door.ask('/services/x/');
    await until(() => slow.seen === before + 1);
    door.clock.advance(defaultHedge.leastMs);
    expect(await asked).toMatchObject({ status: 200, text: 'good' });
    await until(() => slow.open === 0 && door.world.leases === 0);
    expect([slow.seen, quick.seen]).toEqual([before + 1, beside + 1]);
    expect(door.world.upstreams()).toMatchObject([
      { failures: 0, inFlight: 0 },
      { failures: 0, inFlight: 0 },
    ]);
  });

  it('is no write, and not sent twice when the first one answers', async () => {
    const [slow, quick] = [await server(ok), await server(ok)];
    const door = await doorTo([slow, quick], { hedge });
    for (let n = 0; n < 12; n++) await door.ask('/services/x/');
    slow.behave = manners.hangs;
    const [before, beside] = [slow.seen, quick.seen];
    const write = door.ask('/services/x/', post);
    await until(() => slow.seen === before + 1);
    door.clock.advance(500);
    await new Promise((resolve) => setImmediate(resolve));
    door.clock.advance(500);
    expect((await write).status).toBe(504);
    expect(quick.seen).toBe(beside);
  });
});

describe('services in place of others', () => {
  it('answer what the first one could not, and not what it did', async () => {
    const bad = await server(manners['answers 500']);
    const door = await openDoor(() => undefined, {
      services: {
        unit: (name) => unitId('service', name),
        fallbacks: (service) => (service === 'x' ? ['y'] : []),
        describe: () => ({ title: '', why: '' }),
      },
    });
    closers.push(() => door.close());
    const good = await server(ok);
    door.world.treat({ ...policy, places: [] });
    door.world.originOf = (unit) => (unit === 'service/x' ? bad.url : good.url);
    expect(await door.ask('/services/x/')).toMatchObject({ status: 200, text: 'good' });
    const body = 'x'.repeat(1_000);
    expect(await door.ask('/services/x/', { method: 'POST', body })).toMatchObject({ status: 200 });
    expect(await door.ask('/services/x/', { method: 'POST', body: Buffer.alloc(2 ** 21) })).toMatchObject({
      ...{ status: 500, text: 'oh', headers: { 'x-sutaz-source': 'upstream' } },
    });
    bad.behave = (socket) => void socket.write('HTTP/1.1 404 No\r\ncontent-length: 2\r\n\r\nno');
    expect(await door.ask('/services/x/')).toMatchObject({ status: 404 });
    await until(() => door.world.leases === 0);
  });
});
