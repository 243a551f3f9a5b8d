import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import type { Successor } from '#contracts/platform';
import { fakeClock } from '#kernel/clock.fake';
import type { UnitId, WaiterId } from '#kernel/ids';
import { unitId } from '#kernel/ids';
import { fakeLinks } from '#kernel/link.fake';
import type { Link } from '#kernel/link';
import { silentLogger } from '#kernel/logger';
import type { Scheduler } from '#scheduler/run-loop';
import { followHeld, inherit } from './heir.ts';
import type { Heritage } from './heir.ts';
import { handOver } from './predecessor.ts';
import type { Estate, LeaseEnd } from './predecessor.ts';

const unit: UnitId = unitId('service', 'x');
const [one, two, three] = ['1', '2', '3'] as unknown as readonly [WaiterId, WaiterId, WaiterId];
const settle = async () => {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** A predecessor whose successors are driven by hand. */
function bench(more: Partial<Estate> = {}) {
  const clock = fakeClock();
  const log: string[] = [];
  const launched: { readonly far: Link; readonly end: (words: string) => void; killed: boolean }[] = [];
  let onEnd: (end: LeaseEnd) => void = () => undefined;
  const launch = (): Successor => {
    const [near, far] = fakeLinks();
    let end: (words: string) => void = () => undefined;
    const ended = new Promise<string>((resolve) => (end = resolve));
    const entry = { far, end, killed: false };
    launched.push(entry);
    return { link: near, pid: launched.length, ended, kill: () => void (entry.killed = true) };
  };
  const done = handOver({
    ...{ clock, log: silentLogger, launch, url: () => 'http://127.0.0.1:1' },
    underWay: () => [],
    follow: () => void log.push('follow'),
    cut(told) {
      onEnd = told;
      log.push('cut');
      return [{ unit, leases: [one, two], open: [one, three] }];
    },
    letGo: async () => void log.push('letGo'),
    listener: () => createServer(),
    moved: (url) => void log.push(`moved ${url}`),
    lost: () => void log.push('lost'),
    ...more,
  });
  done.catch(() => undefined);
  return { clock, log, launched, done, end: (event: LeaseEnd) => onEnd(event) };
}

/** Goes on with what it is handed, up to the point at which it would listen. */
const goOn = (link: Link | undefined): Promise<Heritage> => inherit(link as Link, '9');

describe('a platform that hands over', () => {
  it('lets go once the other one is prepared, and moves once that listens', async () => {
    const { log, launched, done } = bench();
    await settle();
    expect(log).toEqual([]);
    const heritage = await goOn(launched[0]?.far);
    expect([log, heritage.held, heritage.url]).toEqual([
      ['follow', 'cut', 'letGo'],
      [{ unit, leases: [one, two], open: [one, three] }],
      'http://127.0.0.1:1',
    ]);
    await heritage.listener();
    heritage.listening('http://127.0.0.1:2');
    expect(await done).toEqual({ url: 'http://127.0.0.1:2', pid: 1 });
    expect(log.at(-1)).toBe('moved http://127.0.0.1:2');
  });

  it('changes nothing where the other one ends, speaks another language or says nothing', async () => {
    const ended = bench();
    await settle();
    ended.launched[0]?.end('a mistake in line 3');
    await expect(ended.done).rejects.toMatchObject({ code: 'START_FAILED', message: /a mistake in line 3/ });

    const other = bench();
    await settle();
    other.launched[0]?.far.send({ kind: 'prepared', protocol: 99, version: '9' });
    await expect(other.done).rejects.toMatchObject({ code: 'CONFLICT', message: /sutaz down/ });

    const silent = bench();
    await settle();
    silent.clock.advance(60_000);
    await expect(silent.done).rejects.toMatchObject({ code: 'TIMEOUT' });
    for (const { log, launched } of [ended, other, silent]) {
      expect([log, launched.map(({ killed }) => killed)]).toEqual([[], [true]]);
    }
  });

  it('waits for what must not be interrupted, and names it when that takes too long', async () => {
    let busy: readonly string[] = ['service/x is starting'];
    const patient = bench({ underWay: () => busy });
    await settle();
    const heritage = goOn(patient.launched[0]?.far);
    await settle();
    expect(patient.log).toEqual([]);
    busy = [];
    patient.clock.advance(20);
    await heritage;

    const never = bench({ underWay: () => ['POST /sutaz/v1/models/x/pull'] });
    await settle();
    never.launched[0]?.far.send({ kind: 'prepared', protocol: 1, version: '9' });
    for (let i = 0; i < 40; i++) {
      await settle();
      never.clock.advance(1_000);
    }
    await expect(never.done).rejects.toMatchObject({ code: 'CONFLICT', message: /models\/x\/pull/ });
    expect([never.log, never.launched[0]?.killed]).toEqual([[], true]);
  });

  it('starts another one where the first ends after it was handed everything, without what ended meanwhile', async () => {
    const { clock, log, launched, done, end } = bench();
    await settle();
    await goOn(launched[0]?.far);
    end({ kind: 'lease', event: 'release', unit, waiter: one });
    launched[0]?.end('exit code 1');
    await settle();
    clock.advance(1_000);
    await settle();
    const heritage = await goOn(launched[1]?.far);
    expect(heritage.held).toEqual([{ unit, leases: [two], open: [one, three] }]);
    await heritage.listener();
    heritage.listening('http://127.0.0.1:2');
    expect(await done).toMatchObject({ pid: 2 });
    expect(log).toEqual(['follow', 'cut', 'letGo', 'follow', 'moved http://127.0.0.1:2']);
  });
});

describe('a platform that has let go', () => {
  it('tries three times, however each of them ends, and then says that all is lost', async () => {
    const { clock, log, launched, done } = bench();
    await settle();
    await goOn(launched[0]?.far);
    // The second one ends before it could even begin.
    for (const next of [0, 1]) {
      launched[next]?.end('exit code 1');
      await settle();
      clock.advance(1_000);
      await settle();
    }
    await goOn(launched[2]?.far);
    launched[2]?.end('exit code 3');
    await expect(done).rejects.toMatchObject({ code: 'START_FAILED', message: /exit code 3/ });
    expect([log, launched.length]).toEqual([['follow', 'cut', 'letGo', 'follow', 'lost'], 3]);
  });
});

describe('a platform that goes on', () => {
  const told = () => {
    const events: string[] = [];
    const scheduler = {
      dispatch: (event: { readonly kind: string; readonly waiter?: string }) =>
        void events.push(`${event.kind} ${event.waiter ?? ''}`),
    } as unknown as Scheduler;
    return { events, scheduler };
  };

  it('ends what it was handed as the other one says, also what that said before anybody listened, and the rest with it', async () => {
    const [near, far] = fakeLinks();
    const coming = inherit(far, '9');
    near.send({ kind: 'yours', url: '', held: [{ unit, leases: [one, two], open: [three] }] });
    near.send({ kind: 'lease', event: 'release', unit, waiter: one });
    const { events, scheduler } = told();
    const heritage = await coming;
    await settle();
    followHeld(heritage, scheduler);
    near.send({ kind: 'lease', event: 'release', unit, waiter: one });
    await settle();
    expect(events).toEqual(['release 1']);
    near.close();
    expect(events).toEqual(['release 1', 'release 2', 'closed 3']);
  });

  it('ends where the other one does before it has handed over', async () => {
    const [near, far] = fakeLinks();
    const coming = inherit(far, '9');
    near.close();
    await expect(coming).rejects.toMatchObject({ code: 'CANCELLED' });
  });
});
