import type { Server } from 'node:net';
import type { Successor } from '#contracts/platform';
import { deadline, sleep } from '#kernel/abort';
import type { Clock } from '#kernel/clock';
import { Fault, toFault } from '#kernel/faults';
import type { WaiterId } from '#kernel/ids';
import type { Link } from '#kernel/link';
import type { Logger } from '#kernel/logger';
import { isA, protocol } from './messages.ts';
import type { FromPredecessor, FromSuccessor, HeldLeases } from './messages.ts';

export type LeaseEnd = Extract<FromPredecessor, { kind: 'lease' }>;

export interface Estate {
  readonly clock: Clock;
  readonly log: Logger;
  readonly launch: () => Successor;
  /** The door's. */
  readonly url: () => string;
  /** What must not be interrupted, in words. */
  readonly underWay: () => readonly string[];
  /** Whoever asks for a unit asks over this link from now on. */
  readonly follow: (link: Link) => void;
  /** From here on nothing is decided here any more. Returns what is at work; its ends are told one by one. */
  readonly cut: (onEnd: (end: LeaseEnd) => void) => readonly HeldLeases[];
  /** Gives up everything but the door: afterwards the home is free. */
  readonly letGo: () => Promise<void>;
  readonly listener: () => Server;
  /** The other one listens; this one has to stop. */
  readonly moved: (url: string) => void;
  /** Nothing goes on in this one's place, which has let go of everything: all that is left to it is to end. */
  readonly lost: (why: unknown) => void;
}

/** Milliseconds for the other program to start, or to take up what it was handed. */
const startMs = 60_000;
/** Milliseconds for what is under way to end. */
const settleMs = 30_000;
const lookMs = 20;
/** So many are started, where one ends that had been handed the home: it is nobody's then. */
const tries = 3;
const againMs = 1_000;

/**
 * Hands everything to another process, which goes on with the same instances, the same leases and the same listener. Until
 * the other one has said that it can, and what is under way has ended, it throws with nothing changed; afterwards only
 * when one after the other has ended.
 */
export async function handOver(estate: Estate): Promise<{ readonly url: string; readonly pid: number }> {
  let successor = await prepared(estate);
  await settled(estate).catch((error: unknown) => {
    successor.kill();
    throw error;
  });
  const held = createHeld();
  estate.follow(successor.link);
  held.begin(
    estate.cut((end) => {
      held.end(end);
      successor.link.send(end);
    }),
  );
  await estate.letGo();
  for (let left = tries; ; left--) {
    try {
      if (left < tries) {
        successor = await prepared(estate);
        estate.follow(successor.link);
      }
      const url = await takenUp(successor, held.list(), estate);
      estate.moved(url);
      return { url, pid: successor.pid };
    } catch (error) {
      successor.kill();
      if (left === 1) {
        estate.lost(error);
        throw error;
      }
      estate.log.error('the next process ended, and another one is started', { error: toFault(error).message });
      await sleep(estate.clock, againMs);
    }
  }
}

/** Started, and able to go on: it has read the configuration, and speaks as this one does. */
async function prepared(estate: Estate): Promise<Successor> {
  const successor = estate.launch();
  try {
    const said = await heard(successor, 'prepared', estate.clock);
    if (said.protocol === protocol) return successor;
    throw new Fault(
      'CONFLICT',
      `SutazAI ${said.version} cannot take over from this version while it runs: stop it with \`sutaz down\` and start it again.`,
    );
  } catch (error) {
    successor.kill();
    throw error;
  }
}

async function settled({ underWay, clock }: Estate): Promise<void> {
  for (const until = clock.now() + settleMs; ; await sleep(clock, lookMs)) {
    const what = underWay();
    if (what.length === 0) return;
    if (clock.now() < until) continue;
    const message = `Nothing was changed, since this must not be interrupted: ${what.join(', ')}. Ask again when it has ended.`;
    throw new Fault('CONFLICT', message, { retryAfter: 30, details: { underWay: what } });
  }
}

async function takenUp(successor: Successor, held: readonly HeldLeases[], estate: Estate): Promise<string> {
  const { link } = successor;
  const send = (message: FromPredecessor, listener?: Server) => link.send(message, listener);
  send({ kind: 'yours', url: estate.url(), held });
  await heard(successor, 'ready', estate.clock);
  send({ kind: 'listen' }, estate.listener());
  return (await heard(successor, 'listening', estate.clock)).url;
}

/** What it says next of this kind. Throws when it ends before, or takes too long. */
async function heard<K extends FromSuccessor['kind']>(
  { link, ended }: Successor,
  kind: K,
  clock: Clock,
): Promise<Extract<FromSuccessor, { readonly kind: K }>> {
  const limit = deadline(clock, startMs, 'the next process');
  let unlisten = (): void => undefined;
  try {
    return await new Promise((resolve, reject) => {
      unlisten = link.onMessage((message) => {
        if (isA<FromSuccessor, K>(message, kind)) resolve(message);
      });
      limit.signal.addEventListener('abort', () => reject(limit.signal.reason as Error), { once: true });
      void ended.then((words) => reject(new Fault('START_FAILED', `The next process ended: ${words}`)));
    });
  } finally {
    unlisten();
    limit.clear();
  }
}

/** What is at work still. An end may be told before the list is there. */
function createHeld() {
  const ended = new Set<string>();
  let all: readonly HeldLeases[] = [];
  const left = (event: LeaseEnd['event'], waiters: readonly WaiterId[]) =>
    waiters.filter((waiter) => !ended.has(`${event} ${waiter}`));
  return {
    begin: (held: readonly HeldLeases[]) => void (all = held),
    end: ({ event, waiter }: LeaseEnd) => void ended.add(`${event} ${waiter}`),
    list: (): HeldLeases[] =>
      all.map(({ unit, leases, open }) => ({ unit, leases: left('release', leases), open: left('closed', open) })),
  };
}
