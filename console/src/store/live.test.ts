import { describe, expect, it } from 'vitest';
import type { Client } from '../api/client.ts';
import { decodeState } from '../api/decode.ts';
import { ApiProblem } from '../api/problem.ts';
import type { PlatformEvent } from '../api/types.ts';
import { keepLive, retryDelay, silenceMs } from './live.ts';
import type { Timer } from './live.ts';
import { createStore } from './store.ts';

const snapshot: PlatformEvent = { type: 'state', state: decodeState({}) };
const settle = () => new Promise((resolve) => setImmediate(resolve));

/** Time that goes on when the test says so. */
function fakeTimer() {
  let now = 0;
  const waits = new Set<{ at: number; run: () => void }>();
  const timer: Timer = {
    now: () => now,
    after(ms, run) {
      const wait = { at: now + ms, run };
      waits.add(wait);
      return () => waits.delete(wait);
    },
  };
  return {
    timer,
    pending: () => waits.size,
    async pass(ms: number) {
      now += ms;
      for (const wait of [...waits]) {
        if (wait.at <= now && waits.delete(wait)) wait.run();
      }
      await settle();
    },
  };
}

/** A platform whose connections the test holds: each one takes events, then an end or an error. */
function fakePlatform() {
  const connections: {
    send(event: PlatformEvent): void;
    end(): void;
    fail(error: Error): void;
    signal: AbortSignal;
  }[] = [];
  async function* events(signal: AbortSignal): AsyncGenerator<PlatformEvent> {
    const { readable, writable } = new TransformStream<PlatformEvent, PlatformEvent>();
    const writer = writable.getWriter();
    const quiet = (promise: Promise<void>) => void promise.catch(() => undefined);
    const fail = (error: Error) => quiet(writer.abort(error));
    signal.addEventListener('abort', () => fail(new DOMException('aborted', 'AbortError')), { once: true });
    connections.push({ send: (e) => quiet(writer.write(e)), end: () => quiet(writer.close()), fail, signal });
    yield* readable;
  }
  const unused = () => Promise.reject(new Error('not used here'));
  const client: Client = {
    events,
    state: unused,
    act: unused,
    map: unused,
    models: unused,
    chat: () => {
      throw new Error('not used here');
    },
  };
  return { client, connections, last: () => connections.at(-1) as (typeof connections)[number] };
}

async function connected() {
  const clock = fakeTimer();
  const platform = fakePlatform();
  const store = createStore();
  const live = keepLive(platform.client, store, clock.timer);
  await settle();
  const status = () => store.get().connection.status;
  return { clock, platform, store, live, status };
}

describe('keepLive', () => {
  it('is live with the first snapshot, not with the connection', async () => {
    const { platform, status } = await connected();
    platform.last().send({ type: 'alive' });
    await settle();
    expect(status()).toBe('connecting');
    platform.last().send(snapshot);
    await settle();
    expect(status()).toBe('live');
  });

  it('says so when the connection ends, and connects again after its wait', async () => {
    const { clock, platform, store, status } = await connected();
    platform.last().send(snapshot);
    platform.last().end();
    await settle();
    expect(store.get().connection).toMatchObject({ status: 'lost', retryAt: retryDelay(1) });
    await clock.pass(retryDelay(1) - 1);
    expect(platform.connections).toHaveLength(1);
    await clock.pass(1);
    platform.last().send(snapshot);
    await settle();
    expect(platform.connections).toHaveLength(2);
    expect(status()).toBe('live');
  });

  it('waits longer each time it fails, and starts over after it was live', async () => {
    const { clock, platform, store } = await connected();
    const waited: number[] = [];
    for (let attempt = 1; attempt <= 3; attempt++) {
      platform.last().fail(new TypeError('Failed to fetch'));
      await settle();
      const { connection } = store.get();
      if (connection.status !== 'lost') throw new Error(`expected lost, got ${connection.status}`);
      waited.push(connection.retryAt - clock.timer.now());
      await clock.pass(connection.retryAt - clock.timer.now());
    }
    expect(waited).toEqual([retryDelay(1), retryDelay(2), retryDelay(3)]);
    platform.last().send(snapshot);
    platform.last().end();
    await settle();
    expect(store.get().connection).toMatchObject({ retryAt: clock.timer.now() + retryDelay(1) });
  });

  it('takes a line that says nothing for dead', async () => {
    const { clock, platform, status } = await connected();
    platform.last().send(snapshot);
    await settle();
    await clock.pass(silenceMs - 1);
    platform.last().send({ type: 'alive' });
    await settle();
    await clock.pass(silenceMs - 1);
    expect(status()).toBe('live');
    await clock.pass(1);
    expect(status()).toBe('lost');
    expect(platform.last().signal.aborted).toBe(true);
  });

  it('does not go on by itself when signed out, but does when asked', async () => {
    const { clock, platform, live, status } = await connected();
    platform.last().fail(new ApiProblem('no session', { status: 401, code: 'UNAUTHENTICATED' }));
    await settle();
    expect(status()).toBe('signed-out');
    await clock.pass(3_600_000);
    expect(platform.connections).toHaveLength(1);
    live.retry();
    await settle();
    platform.last().send(snapshot);
    await settle();
    expect(status()).toBe('live');
  });

  it('connects anew at once on a recheck', async () => {
    const { platform, live, status } = await connected();
    platform.last().send(snapshot);
    await settle();
    live.recheck();
    await settle();
    expect(platform.connections).toHaveLength(2);
    expect(status()).toBe('live');
  });

  it('leaves no connection and no timer behind when closed, in a connection or in a wait', async () => {
    const busy = await connected();
    busy.live.close();
    await settle();
    expect(busy.platform.last().signal.aborted).toBe(true);
    expect(busy.clock.pending()).toBe(0);

    const waiting = await connected();
    waiting.platform.last().end();
    await settle();
    waiting.live.close();
    await settle();
    expect(waiting.clock.pending()).toBe(0);
    expect(waiting.platform.connections).toHaveLength(1);
  });
});
