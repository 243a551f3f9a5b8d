import { once } from 'node:events';
import { Agent, createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import fc from 'fast-check';
import { afterEach, expect, it } from 'vitest';
import { configSchema } from '#config/static';
import { parseStrict } from '#config/strict';
import { openDoor } from '#edge/door.fake';
import type { OpenDoor } from '#edge/door.fake';
import { createLimiter } from '#edge/limits/limiter';
import { compileRules } from '#edge/limits/rules';
import { systemClock } from '#kernel/clock';
import type { Clock } from '#kernel/clock';
import { fakeClock } from '#kernel/clock.fake';
import { createRate } from '#resilience/meter';

const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

function limiterOf(rules: string, clock: Clock) {
  const parsed = parseStrict(`limits: { rules: [${rules}] }`, 'sutaz.yaml', configSchema);
  if (!parsed.ok) throw new Error(parsed.problems.map(({ message }) => message).join());
  const limiter = createLimiter({ clock, kept: new Map(), refused: { add: () => undefined } });
  limiter.follow(compileRules(parsed.value.limits.rules, (id) => [id]));
  return limiter;
}

async function doorWith(rules: string, service: Parameters<typeof openDoor>[0], clock: Clock = systemClock) {
  const limiter = limiterOf(rules, clock);
  const door = await openDoor(service, { limiter });
  closers.push(() => door.close());
  return { door, limiter };
}

interface Asked {
  readonly status: number;
}

/** A client over connections that it keeps. */
function client(door: OpenDoor, key: string, sockets: number) {
  const agent = new Agent({ keepAlive: true, maxSockets: sockets });
  closers.push(() => agent.destroy());
  const headers = { host: `localhost:${door.port}`, 'x-sutaz-key': key };
  return (path: string): Promise<Asked> =>
    new Promise((resolve, reject) => {
      const req = request({ port: door.port, host: '127.0.0.1', path, headers, agent }, (res) => {
        res.resume();
        res.on('end', () => resolve({ status: res.statusCode ?? 0 }));
      });
      req.on('error', reject);
      req.end();
    });
}

const hello: Parameters<typeof openDoor>[0] = (_, res) => res.end('{}');
const withStatus = (answers: readonly Asked[], status: number) => answers.filter((one) => one.status === status);

it('R23 limit-accuracy: 50 clients at once against 100 a minute get exactly 100', async () => {
  const { door } = await doorWith('{ each: key, requests: 100/minute }', hello);
  const clients = Array.from({ length: 50 }, () => client(door, 'sutaz-admin', 1));
  const answers = await Promise.all(
    clients.map(async (ask) => {
      const own: Asked[] = [];
      for (let i = 0; i < 10; i++) own.push(await ask('/services/x/'));
      return own;
    }),
  );
  expect(withStatus(answers.flat(), 200)).toHaveLength(100);
  expect(withStatus(answers.flat(), 429)).toHaveLength(400);
  // Another key has its own hundred.
  expect((await client(door, 'sutaz-use', 1)('/services/x/')).status).toBe(200);
});

it('R23 limit-accuracy: over ten windows the rate is kept within a hundredth, a burst is exact, no window has more', () => {
  const arrivals = fc.record({
    limit: fc.integer({ min: 1, max: 300 }),
    everyMs: fc.double({ min: 0.5, max: 3, noNaN: true }),
    startMs: fc.double({ min: 0, max: 1e9, noNaN: true }),
  });
  fc.assert(
    fc.property(arrivals, ({ limit, everyMs, startMs }) => {
      const rate = createRate(limit, 1_000);
      const admitted: number[] = [];
      const ask = (now: number) => {
        if (!rate.fits(1, now)) return;
        rate.take(1, now);
        admitted.push(now);
      };
      for (let i = 0; i < 2 * limit; i++) ask(startMs);
      expect(admitted).toHaveLength(limit);
      for (let now = startMs + everyMs; now < startMs + 10_000; now += everyMs) ask(now);
      // What is offered may be less than what is allowed.
      const possible = Math.min(10 * limit, limit + Math.floor(9_000 / everyMs));
      expect(admitted.length).toBeLessThanOrEqual(10 * limit);
      expect(admitted.length).toBeGreaterThanOrEqual(Math.floor(possible * 0.99) - 9);
      for (const [index, at] of admitted.entries()) {
        const beyond = admitted[index + limit];
        if (beyond !== undefined) expect(beyond - at).toBeGreaterThanOrEqual(1_000 - 1e-6);
      }
    }),
    { numRuns: 200 },
  );
});

it('R23 limit-accuracy: nothing leaks from one key to another', async () => {
  const { door } = await doorWith('{ each: [key, service], requests: 5/minute }', hello);
  const [admin, user] = ['sutaz-admin', 'sutaz-use'].map((key) => client(door, key, 5));
  const ask = (one: typeof admin) => Promise.all(Array.from({ length: 20 }, () => one?.('/services/x/')));
  const [mine, theirs] = await Promise.all([ask(admin), ask(user)]);
  expect([mine, theirs].map((all) => all?.filter((one) => one?.status === 200).length)).toEqual([5, 5]);
});

it('R17 clock-jump: an hour forward and two back change nothing of what is limited', async () => {
  const time = fakeClock();
  let jumpMs = 0;
  const clock = { ...time, wall: () => time.wall() + jumpMs };
  const { door } = await doorWith('{ requests: 2/minute }', hello, clock);
  const ask = client(door, 'sutaz-admin', 1);
  const statuses = async (count: number) => {
    const all = [];
    for (let i = 0; i < count; i++) all.push((await ask('/services/x/')).status);
    return all;
  };
  expect(await statuses(3)).toEqual([200, 200, 429]);
  jumpMs = 3_600_000;
  expect(await statuses(1)).toEqual([429]);
  jumpMs = -7_200_000;
  time.advance(59_999);
  expect(await statuses(1)).toEqual([429]);
  time.advance(1);
  expect(await statuses(3)).toEqual([200, 200, 429]);
});

it('R13 overload-shed: the excess is refused while all places are taken, and it is over when they are free', async () => {
  const held: (() => void)[] = [];
  const places = 10;
  const { door, limiter } = await doorWith(
    `{ name: gate, concurrent: ${places} }`,
    (_, res) => void held.push(() => res.end('{}')),
  );
  const ask = client(door, 'sutaz-admin', 200);
  const health = client(door, 'sutaz-admin', 2);
  const served = Array.from({ length: places }, () => ask('/services/x/'));
  await expect.poll(() => held.length).toBe(places);
  // None of the places is given back before these have their answer: a refusal waits for nobody.
  for (let round = 0; round < 5; round++) {
    const excess = await Promise.all(Array.from({ length: 5 * places }, () => ask('/services/x/')));
    expect(withStatus(excess, 429)).toHaveLength(5 * places);
    const healthy = await Promise.all([health('/healthz'), health('/sutaz/v1/state')]);
    expect(withStatus(healthy, 200)).toHaveLength(2);
  }
  expect(held).toHaveLength(places);
  for (const answer of held.splice(0)) answer();
  expect(withStatus(await Promise.all(served), 200)).toHaveLength(places);
  const after = Array.from({ length: places }, () => ask('/services/x/'));
  await expect.poll(() => held.length).toBe(places);
  for (const answer of held.splice(0)) answer();
  expect(withStatus(await Promise.all(after), 200)).toHaveLength(places);
  await expect.poll(() => [...limiter.accounts()][0]?.gauges[0]?.meter.used(0)).toBe(0);
});

it('R13 overload-shed: a place that is given back goes to the next who asks, however many were refused before', async () => {
  const held: (() => void)[] = [];
  const places = 10;
  const { door } = await doorWith(`{ concurrent: ${places} }`, (_, res) => void held.push(() => res.end('{}')));
  const ask = client(door, 'sutaz-admin', 200);
  const served = Array.from({ length: places }, () => ask('/services/x/'));
  await expect.poll(() => held.length).toBe(places);
  for (let round = 0; round < 5; round++) {
    const excess = await Promise.all(Array.from({ length: 4 * places }, () => ask('/services/x/')));
    expect(withStatus(excess, 429)).toHaveLength(4 * places);
    // Who is answered has given its place back: the next one is not refused.
    held.shift()?.();
    expect(withStatus([await (served.shift() as Promise<Asked>)], 200)).toHaveLength(1);
    served.push(ask('/services/x/'));
    await expect.poll(() => held.length).toBe(places);
  }
  for (const answer of held.splice(0)) answer();
  expect(withStatus(await Promise.all(served), 200)).toHaveLength(places);
});

it('R13 overload-shed: a client that leaves frees its place at once', async () => {
  const upstream = createServer(() => undefined).listen(0, '127.0.0.1');
  closers.push(() => upstream.close());
  await once(upstream, 'listening');
  const { door, limiter } = await doorWith('{ concurrent: 1 }', () => undefined);
  door.world.origin = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  closers.push(() => upstream.closeAllConnections());
  const used = () => [...limiter.accounts()][0]?.gauges[0]?.meter.used(0);
  for (let i = 0; i < 20; i++) {
    const left = new AbortController();
    const asked = door.ask('/services/x/', { signal: left.signal }).catch(() => undefined);
    await expect.poll(used, { interval: 2 }).toBe(1);
    left.abort();
    await asked;
    await expect.poll(used, { interval: 2, timeout: 200 }).toBe(0);
  }
});
