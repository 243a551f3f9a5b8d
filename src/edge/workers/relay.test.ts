import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import type { Passed, RelayEnd, ToWorker } from './messages.ts';
import { createRelay } from './relay.ts';
import type { RelayOptions } from './relay.ts';
import { createRelays } from './relays.ts';
import type { Relayed } from './relays.ts';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).toReversed()) await end();
});

/** Both ends of a connection. */
async function pair(): Promise<readonly [Socket, Socket]> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const near = connect({ port: (server.address() as AddressInfo).port, allowHalfOpen: true });
  const [far] = (await once(server, 'connection')) as [Socket];
  for (const socket of [near, far]) socket.on('error', () => undefined);
  ends.push(
    () => server.close(),
    () => [near, far].forEach((socket) => socket.destroy()),
  );
  return [near, far];
}

type Given = Pick<RelayOptions, 'framing'> & Partial<RelayOptions>;

async function open({ isFramed = false, shown = null, ...more }: Given) {
  const [[upstream, server], [client, reader]] = await Promise.all([pair(), pair()]);
  const over = Promise.withResolvers<RelayEnd>();
  let got = '';
  reader.on('data', (bytes) => (got += bytes.toString('latin1')));
  const relay = createRelay({ upstream, client, isFramed, shown, over: over.resolve, ...more });
  const all: Passed = { bytes: 0, events: 0, reported: null, isHeld: false };
  const passed = (): Passed => {
    const { bytes = 0, events = 0, reported = null, isHeld = false } = relay.passed() ?? {};
    return Object.assign(all, {
      bytes: all.bytes + bytes,
      events: all.events + events,
      reported: reported ?? all.reported,
      isHeld,
    });
  };
  return { server, reader, relay, over: over.promise, got: () => got, passed };
}

const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

describe('the rest of an answer', () => {
  it('is passed on to its end however it is cut, and what ends it is left to the platform', async () => {
    const texts = fc.array(fc.string({ minLength: 1, maxLength: 40, unit: 'binary-ascii' }), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(texts, fc.array(fc.nat(200), { maxLength: 5 }), async (said, cuts) => {
        const { server, over, got, passed } = await open({ framing: { kind: 'chunked' } });
        const bytes = Buffer.from(`${said.map(chunk).join('')}0\r\n\r\n`);
        const places = cuts.map((place) => place % bytes.length).toSorted((a, b) => a - b);
        for (const [i, from] of [0, ...places].entries()) {
          server.write(bytes.subarray(from, places[i] ?? bytes.length));
          await new Promise((resolve) => setImmediate(resolve));
        }
        expect(await over).toEqual({ how: 'whole', keeps: true });
        await expect.poll(got).toBe(said.join(''));
        expect(passed().bytes).toBe(Buffer.byteLength(said.join('')));
      }),
      { numRuns: 40 },
    );
  });

  it('is framed for the client without the last chunk', async () => {
    const { server, over, got, passed } = await open({ framing: { kind: 'chunked' }, isFramed: true });
    server.write(`${chunk('one')}0\r\n\r\n`);
    expect(await over).toEqual({ how: 'whole', keeps: true });
    await expect.poll(got).toBe(chunk('one'));
    expect(passed().bytes).toBe(chunk('one').length);
  });

  it.each([
    ['of a length', { kind: 'length', bytes: 5 } as const, 'hello', { how: 'whole', keeps: true }],
    ['with more behind it', { kind: 'length', bytes: 5 } as const, 'hello!', { how: 'whole', keeps: false }],
    ['up to the end of its connection', { kind: 'open' } as const, 'hello', { how: 'whole', keeps: false }],
    ['cut off', { kind: 'length', bytes: 6 } as const, 'hello', { how: 'failed', isMalformed: false }],
    ['cut off between chunks', { kind: 'chunked' } as const, chunk('hello'), { how: 'failed', isMalformed: false }],
    ['that is none', { kind: 'chunked' } as const, `${chunk('hello')}zz`, { how: 'failed', isMalformed: true }],
  ])('%s ends as it does in the platform', async (_, framing, said, end) => {
    const { server, over, got } = await open({ framing });
    server.end(said);
    expect(await over).toMatchObject(end);
    await expect.poll(got).toBe('hello');
  });

  it('has its usage counted, and taken out for who did not ask', async () => {
    const { server, over, got, passed } = await open({ framing: { kind: 'chunked' }, shown: 'none' });
    const event = (more: string) => `data: {"choices":[{"delta":{"content":"a"}}]${more}}\n\n`;
    server.write(chunk(event(',"usage":{"prompt_tokens":3,"completion_tokens":1}')));
    server.write(`${chunk(event(',"usage":{"prompt_tokens":3,"completion_tokens":2}'))}0\r\n\r\n`);
    await over;
    expect(passed()).toMatchObject({ events: 2, reported: 5 });
    await expect.poll(got).toBe(event('') + event(''));
  });

  it('waits for a client that is behind, and says so', async () => {
    const { server, reader, relay, over, passed } = await open({ framing: { kind: 'open' } });
    reader.pause();
    // More than all the buffers between them hold.
    server.write(Buffer.alloc(64 * 2 ** 20, 'x'));
    await expect.poll(() => passed().isHeld).toBe(true);
    expect(server.writableLength).toBeGreaterThan(0);
    relay.drop();
    expect(await over).toEqual({ how: 'dropped', isCut: true });
  });

  it('is over when its client is gone, or when it is dropped between two pieces', async () => {
    const gone = await open({ framing: { kind: 'open' } });
    gone.reader.resetAndDestroy();
    const say = setInterval(() => gone.server.write('x'), 1);
    expect(await gone.over).toMatchObject({ how: 'left' });
    clearInterval(say);
    const dropped = await open({ framing: { kind: 'open' } });
    dropped.server.write('hello');
    await expect.poll(dropped.got).toBe('hello');
    dropped.relay.drop();
    expect(await dropped.over).toEqual({ how: 'dropped', isCut: false });
  });
});

describe('the relays of a worker', () => {
  async function openRelays() {
    const clock = fakeClock();
    const said: ToWorker[] = [];
    const failures: ((() => void) | undefined)[] = [];
    let stuck = 0;
    const relays = createRelays({
      clock,
      say(message, _, failed) {
        said.push(message);
        failures.push(failed);
      },
      stuck: () => stuck++,
    });
    const [[client], [upstream]] = await Promise.all([pair(), pair()]);
    const heard: unknown[] = [];
    const relayed: Relayed = {
      ...{ client, upstream, framing: { kind: 'chunked' }, isFramed: true, shown: null },
      passed: (passed) => heard.push(passed.bytes),
      over: (end) => heard.push(end.how),
    };
    return { clock, said, failures, relays, relayed, heard, stuck: () => stuck };
  }
  const passed = (bytes: number): Passed => ({ bytes, events: 0, reported: null, isHeld: false });

  it('are told what went on, the last of it before the end, and nothing after it', async () => {
    const { relays, relayed, heard, said } = await openRelays();
    relays.begin(relayed);
    expect(said.map(({ kind }) => kind)).toEqual(['client', 'relay']);
    relays.hear({
      kind: 'passed',
      of: [
        [1, passed(10)],
        [7, passed(99)],
      ],
    });
    relays.hear({ kind: 'relayed', id: 1, passed: passed(5), end: { how: 'whole', keeps: true } });
    relays.hear({ kind: 'passed', of: [[1, passed(1)]] });
    relays.lose();
    expect(heard).toEqual([10, 5, 'whole']);
    expect([relays.size, relays.bytes]).toEqual([0, 15]);
  });

  it('are lost with it', async () => {
    const { relays, relayed, heard } = await openRelays();
    relays.begin(relayed);
    relays.begin(relayed);
    relays.lose();
    expect(heard).toEqual(['lost', 'lost']);
  });

  it('are not begun with a connection that is closed', async () => {
    const { relays, relayed, said } = await openRelays();
    relayed.upstream.destroy();
    expect(relays.begin(relayed)).toBeNull();
    expect(said).toEqual([]);
  });

  it('are dropped where they could not be sent, and the worker is stuck that does not do so in time', async () => {
    const { clock, relays, relayed, said, failures, stuck } = await openRelays();
    relays.begin(relayed);
    failures[1]?.();
    expect(said.at(-1)).toEqual({ kind: 'drop', id: 1 });
    clock.advance(4_999);
    expect(stuck()).toBe(0);
    clock.advance(1);
    expect(stuck()).toBe(1);
    relays.begin(relayed)?.();
    relays.hear({ kind: 'relayed', id: 2, passed: null, end: { how: 'dropped', isCut: false } });
    clock.advance(10_000);
    expect(stuck()).toBe(1);
  });
});
