import { describe, expect, it } from 'vitest';
import { fakeLinks } from '#kernel/link.fake';
import { fakeClock } from '#kernel/clock.fake';
import { Fault } from '#kernel/faults';
import { newWaiterId, unitId } from '#kernel/ids';
import { createRelay } from '../granter.ts';
import type { Granter } from '../granter.ts';
import { unplaced } from '../wake.ts';
import type { Awake, Caller } from '../wake.ts';
import { serveGranter } from './host.ts';
import { createRemoteGranter } from './remote.ts';

const unit = unitId('service', 'x');
const target = { origin: 'http://127.0.0.1:1', basePath: '', key: null };
const settle = () => new Promise((resolve) => setImmediate(resolve));
const asking = (signal = new AbortController().signal): Caller => ({ principal: 'ada', class: 'interactive', signal });

/** A granter by hand, and what is held of it. */
function byHand() {
  const count = { held: 0, broken: 0, open: 0 };
  const asked: { readonly caller: Caller; grant(): void; refuse(error: Fault): void }[] = [];
  const awake = (): Awake => {
    count.held++;
    return {
      ...{ target, placed: unplaced(target), queueMs: 1, wakeMs: 2 },
      leaveOpen() {
        count.open++;
        return () => void count.open--;
      },
      release(broken = false) {
        count.held--;
        if (broken) count.broken++;
      },
    };
  };
  const granter: Granter = {
    wake: (_, caller) =>
      new Promise((resolve, reject) => {
        caller.signal.addEventListener('abort', () => reject(caller.signal.reason as Error));
        caller.onQueued?.(newWaiterId());
        asked.push({ caller, grant: () => resolve(awake()), refuse: reject });
      }),
    silenceMs: () => null,
    isReady: () => false,
    wasStopped: () => false,
    linger: () => undefined,
    progress: () => ({ phase: 'starting', position: 3 }),
  };
  return { granter, asked, count };
}

function bench() {
  const clock = fakeClock();
  const [near, far] = fakeLinks();
  const hand = byHand();
  serveGranter(far, hand.granter, clock);
  return { ...hand, clock, near, remote: createRemoteGranter({ link: near, silenceMs: () => null }) };
}

describe('a lease from another process', () => {
  it('is granted with its address, and given back once', async () => {
    const { remote, asked, count } = bench();
    const awake = remote.wake(unit, asking());
    await settle();
    asked[0]?.grant();
    const held = await awake;
    expect(held).toMatchObject({ target, queueMs: 1, wakeMs: 2 });
    held.release(true);
    held.release();
    await settle();
    expect(count).toEqual({ held: 0, broken: 1, open: 0 });
  });

  it('leaves open what was begun under it', async () => {
    const { remote, asked, count } = bench();
    const awake = remote.wake(unit, asking());
    await settle();
    asked[0]?.grant();
    const held = await awake;
    const closed = held.leaveOpen();
    held.release();
    await settle();
    expect(count).toEqual({ held: 0, broken: 0, open: 1 });
    closed();
    await settle();
    expect(count.open).toBe(0);
  });

  it('is refused with the code and the facts that the other process said', async () => {
    const { remote, asked } = bench();
    const awake = remote.wake(unit, asking());
    await settle();
    asked[0]?.refuse(new Fault('NO_MEMORY', 'too little', { retryAfter: 3, details: { neededBytes: 1 } }));
    await expect(awake).rejects.toMatchObject({ code: 'NO_MEMORY', retryAfter: 3, details: { neededBytes: 1 } });
  });

  it('is not waited for any more once its caller left, and a grant that crossed that goes back', async () => {
    const { remote, asked, count } = bench();
    const leaving = new AbortController();
    const [first, second] = [remote.wake(unit, asking(leaving.signal)), remote.wake(unit, asking(leaving.signal))];
    await settle();
    asked[1]?.grant();
    leaving.abort(new Fault('CANCELLED', 'gone'));
    await expect(first).rejects.toMatchObject({ code: 'CANCELLED' });
    await expect(second).rejects.toMatchObject({ code: 'CANCELLED' });
    await settle();
    expect([asked[0]?.caller.signal.aborted, count.held]).toEqual([true, 0]);
  });

  it('comes with news for those who wait', async () => {
    const { remote, clock } = bench();
    let waiter: Parameters<NonNullable<Caller['onQueued']>>[0] | undefined;
    const waking = Promise.resolve(remote.wake(unit, { ...asking(), onQueued: (id) => (waiter = id) }));
    waking.catch(() => undefined);
    await settle();
    expect(remote.progress(unit, waiter)).toEqual({ phase: 'waiting' });
    clock.advance(1_000);
    await settle();
    expect(remote.progress(unit, waiter)).toEqual({ phase: 'starting', position: 3 });
  });

  it('goes back when the process that has it ends; who waits for one is told when the other ends', async () => {
    const { remote, asked, count, near, clock } = bench();
    const awake = remote.wake(unit, asking());
    const waiting = remote.wake(unit, asking());
    await settle();
    asked[0]?.grant();
    (await awake).leaveOpen();
    await settle();
    near.close();
    await expect(waiting).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    await expect(remote.wake(unit, asking())).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    await settle();
    expect([count, asked[1]?.caller.signal.aborted, clock.pending]).toEqual([{ held: 0, broken: 0, open: 0 }, true, 0]);
  });
});

describe('a relay', () => {
  const isEnding = (error: unknown) => error instanceof Fault && error.code === 'SHUTTING_DOWN';

  it('asks the next one for those whom the first turns away as it ends, and for all who come later', async () => {
    const [first, next] = [byHand(), byHand()];
    const relay = createRelay(first.granter, isEnding);
    const waits = relay.wake(unit, asking());
    relay.goOn(next.granter);
    first.asked[0]?.refuse(new Fault('SHUTTING_DOWN', 'ends'));
    const comes = relay.wake(unit, asking());
    await settle();
    for (const one of next.asked) one.grant();
    await Promise.all([waits, comes]);
    expect([first.asked.length, next.asked.length, next.count.held]).toEqual([1, 2, 2]);
  });

  it('passes on any other refusal, and that of an end without a next one', async () => {
    const first = byHand();
    const relay = createRelay(first.granter, isEnding);
    const waits = relay.wake(unit, asking());
    first.asked[0]?.refuse(new Fault('SHUTTING_DOWN', 'ends'));
    await expect(waits).rejects.toMatchObject({ code: 'SHUTTING_DOWN' });
    const other = relay.wake(unit, asking());
    relay.goOn(byHand().granter);
    first.asked[1]?.refuse(new Fault('QUEUE_FULL', 'too many'));
    await expect(other).rejects.toMatchObject({ code: 'QUEUE_FULL' });
  });
});
