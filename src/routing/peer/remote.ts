import type { ApiProgress } from '#contracts/api';
import { abortFault } from '#kernel/abort';
import type { Link } from '#kernel/link';
import { Fault } from '#kernel/faults';
import { newWaiterId } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import type { Granter } from '../granter.ts';
import { unplaced } from '../wake.ts';
import type { Awake, Caller } from '../wake.ts';
import { faultOf, isOfKind } from './messages.ts';
import type { Asked, Told } from './messages.ts';

interface Waiting {
  readonly resolve: (told: Extract<Told, { kind: 'awake' }>) => void;
  readonly reject: (error: Fault) => void;
  readonly waiter: WaiterId;
}

export interface RemoteOptions {
  readonly link: Link;
  /** Of the other process nothing is known but what it says to those who wait. */
  readonly silenceMs: (unit: UnitId) => number | null;
}

/** Asks another process for everything. Its end refuses whoever waits with SHUTTING_DOWN; leases that are held go on. */
export function createRemoteGranter({ link, silenceMs }: RemoteOptions): Granter {
  const waiting = new Map<number, Waiting>();
  const progress = new Map<WaiterId, ApiProgress>();
  let last = 0;
  let isClosed = false;
  const send = (message: Asked) => link.send(message);
  link.onMessage((message) => {
    if (!isOfKind<Told>(message, ['awake', 'refused', 'progress'])) return;
    const one = waiting.get(message.id);
    if (message.kind === 'progress') {
      if (one) progress.set(one.waiter, message.progress);
    } else if (message.kind === 'refused') one?.reject(faultOf(message.fault));
    // Its caller left while the grant was on its way.
    else if (!one) send({ kind: 'release', id: message.id, broken: false });
    else one.resolve(message);
  });
  link.onClose(() => {
    isClosed = true;
    for (const { reject } of [...waiting.values()]) reject(gone());
  });

  const ask = (unit: UnitId, { signal, onQueued, ...caller }: Caller): Promise<Awake> => {
    if (signal.aborted) return Promise.reject(abortFault(signal));
    if (isClosed) return Promise.reject(gone());
    const id = ++last;
    const waiter = newWaiterId();
    return new Promise((resolve, reject) => {
      const settled = () => {
        waiting.delete(id);
        progress.delete(waiter);
        signal.removeEventListener('abort', onAbort);
      };
      const onAbort = () => {
        settled();
        send({ kind: 'leave', id });
        reject(abortFault(signal));
      };
      waiting.set(id, {
        waiter,
        resolve(told) {
          settled();
          resolve(awakeOf(told, send));
        },
        reject(error) {
          settled();
          reject(error);
        },
      });
      signal.addEventListener('abort', onAbort, { once: true });
      send({
        kind: 'wake',
        id,
        unit,
        principal: caller.principal,
        class: caller.class,
        goesOn: caller.goesOn ?? false,
      });
      onQueued?.(waiter);
    });
  };
  return {
    wake: ask,
    silenceMs,
    // Who asks does so because of a request that this process still has: it is wrong for a second at most.
    isReady: () => true,
    wasStopped: () => false,
    linger: (unit, principal, ms) => send({ kind: 'linger', unit, principal, ms }),
    progress: (_, waiter) => (waiter && progress.get(waiter)) ?? { phase: 'waiting' },
  };
}

function awakeOf(
  { id, target, queueMs, wakeMs }: Extract<Told, { kind: 'awake' }>,
  send: (asked: Asked) => void,
): Awake {
  let isHeld = true;
  return {
    ...{ target, placed: unplaced(target), queueMs, wakeMs },
    leaveOpen() {
      send({ kind: 'opened', id });
      return () => send({ kind: 'closed', id });
    },
    release(broken = false) {
      if (isHeld) send({ kind: 'release', id, broken });
      isHeld = false;
    },
  };
}

const gone = (): Fault => new Fault('SHUTTING_DOWN', 'The platform is being restarted.', { retryAfter: 5 });
