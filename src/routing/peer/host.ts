import type { Link } from '#kernel/link';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import type { UnitId, WaiterId } from '#kernel/ids';
import { repeat } from '#kernel/repeat';
import type { Granter } from '../granter.ts';
import type { Awake } from '../wake.ts';
import { faultMessage, isOfKind } from './messages.ts';
import type { Asked, Told } from './messages.ts';

/** Milliseconds between what those who wait are told. */
const tellMs = 1_000;

interface Request {
  readonly unit: UnitId;
  readonly leaves: AbortController;
  waiter: WaiterId | null;
  awake: Awake | null;
  closed: (() => void) | null;
}

const left = new Fault('CANCELLED', 'The caller left.');

/** Of how it went the other process tells no more than this. */
function give(awake: Awake | null, broken = false): void {
  awake?.placed.settle(broken ? 'failed' : 'left');
  awake?.release(broken);
}

/** Grants to another process what it asks for over the link. Its end gives back whatever it still has. */
export function serveGranter(
  link: Link,
  granter: Pick<Granter, 'wake' | 'linger' | 'progress'>,
  clock: Clock,
): () => void {
  const requests = new Map<number, Request>();
  const send = (message: Told) => link.send(message);
  const forget = (id: number, { awake, closed }: Request) => {
    // A lease that was given back may have left something open.
    if (!awake && !closed) requests.delete(id);
  };
  const wake = async ({ id, unit, principal, class: rank, goesOn }: Extract<Asked, { kind: 'wake' }>) => {
    const request: Request = { unit, leaves: new AbortController(), waiter: null, awake: null, closed: null };
    requests.set(id, request);
    const onQueued = (waiter: WaiterId) => (request.waiter = waiter);
    try {
      const awake = await granter.wake(unit, {
        ...{ principal, class: rank, goesOn, onQueued },
        signal: request.leaves.signal,
      });
      if (request.leaves.signal.aborted) {
        requests.delete(id);
        return give(awake);
      }
      request.awake = awake;
      const { target, queueMs, wakeMs } = awake;
      send({ kind: 'awake', id, target, queueMs, wakeMs });
    } catch (error) {
      requests.delete(id);
      if (!request.leaves.signal.aborted) send({ kind: 'refused', id, fault: faultMessage(error) });
    }
  };
  const take = (asked: Asked) => {
    if (asked.kind === 'wake') return void wake(asked);
    if (asked.kind === 'linger') return granter.linger(asked.unit, asked.principal, asked.ms);
    const request = requests.get(asked.id);
    if (!request) return;
    const { awake } = request;
    if (asked.kind === 'leave') request.leaves.abort(left);
    else if (asked.kind === 'opened') request.closed ??= awake?.leaveOpen() ?? null;
    else if (asked.kind === 'closed') {
      request.closed?.();
      request.closed = null;
    }
    if (asked.kind === 'release' || (asked.kind === 'leave' && awake)) {
      request.awake = null;
      give(awake, asked.kind === 'release' && asked.broken);
    }
    if (asked.kind !== 'opened') forget(asked.id, request);
  };
  const unlisten = link.onMessage((message) => {
    if (isOfKind<Asked>(message, ['wake', 'leave', 'release', 'opened', 'closed', 'linger'])) take(message);
  });
  const stop = repeat(
    clock,
    tellMs,
    async () => {
      for (const [id, { unit, waiter, awake }] of requests)
        if (waiter && !awake) send({ kind: 'progress', id, progress: granter.progress(unit, waiter) });
    },
    () => undefined,
  );
  const end = () => {
    unlisten();
    stop();
    for (const { leaves, awake, closed } of requests.values()) {
      leaves.abort(left);
      closed?.();
      give(awake);
    }
    requests.clear();
  };
  link.onClose(end);
  return end;
}
