import type { Successor } from '#contracts/platform';
import type { ApiRestarted } from '#contracts/api';
import type { Clock } from '#kernel/clock';
import type { Closers } from '#kernel/closers';
import { Fault } from '#kernel/faults';
import type { Link } from '#kernel/link';
import type { Logger } from '#kernel/logger';
import { createRemoteGranter } from '#routing/peer/remote';
import type { Home } from '#runtime/home';
import type { State } from '#scheduler/state';
import type { Event } from '#scheduler/types';
import type { Core } from '../core.ts';
import type { Front } from '../front.ts';
import { handOver } from './predecessor.ts';
import type { LeaseEnd } from './predecessor.ts';
import type { HeldLeases } from './messages.ts';

export interface SuccessionOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly home: Home;
  readonly url: () => string;
  readonly launch: (() => Successor) | undefined;
  readonly core: () => Core;
  readonly front: () => Front;
  /** All but the door. */
  readonly closers: Closers;
}

/** How this platform is replaced by the next one while it runs. */
export interface Succession {
  restart(): Promise<ApiRestarted>;
  /** Resolves when another process listens in this one's place; rejects when none does, and this one cannot go on. */
  readonly replaced: Promise<void>;
  /** Nothing is under way here any more: what the next process still counts as this one's is given back. */
  part(): void;
  /** To be told of every event of the account: those that end a lease concern the next process, too. */
  readonly onEvent: (event: Event) => void;
}

export function createSuccession(options: SuccessionOptions): Succession {
  const { clock, log, launch } = options;
  let told: (end: LeaseEnd) => void = () => undefined;
  const replaced = Promise.withResolvers<void>();
  // Whoever runs the platform waits for it; where nobody does, that is no error of its own.
  replaced.promise.catch(() => undefined);
  let running = false;
  let next: Link | undefined;
  const estate = (start: () => Successor) => ({
    ...{ clock, log, launch: start, url: options.url },
    underWay: () => underWay(options),
    follow(link: Link) {
      const { relay } = options.core();
      next = link;
      relay.goOn(createRemoteGranter({ link, silenceMs: relay.silenceMs }));
    },
    cut(onEnd: (end: LeaseEnd) => void) {
      const { letGo, scheduler } = options.core();
      options.front().moving.begin();
      letGo();
      told = onEnd;
      return heldLeases(scheduler.state);
    },
    async letGo() {
      await options.closers.close().catch((error: unknown) =>
        // The next process needs the home all the more.
        log.error('some parts did not close properly before they were handed over', { error: String(error) }),
      );
      options.home.unlock();
    },
    listener: () => options.front().server,
    lost: replaced.reject,
    moved(url: string) {
      const { needs, scheduler } = options.core();
      // The next process holds what its units need by itself.
      for (const unit of scheduler.state.units.keys()) needs.give(unit);
      const { hostname, port } = new URL(url);
      options.front().moving.end({ host: hostname, port: Number(port) });
      replaced.resolve();
    },
  });
  return {
    replaced: replaced.promise,
    part: () => next?.close(),
    onEvent(event) {
      if (event.kind !== 'release' && event.kind !== 'closed') return;
      told({ kind: 'lease', event: event.kind, unit: event.unit, waiter: event.waiter });
    },
    async restart() {
      if (!launch)
        throw new Fault('NOT_SUPPORTED', 'This platform is part of another program, which has to restart it.');
      if (running) throw new Fault('CONFLICT', 'It is being restarted already.');
      running = true;
      try {
        const successor = await handOver(estate(launch));
        log.info('another process goes on', successor);
        return successor;
      } finally {
        running = false;
      }
    },
  };
}

/** What must have ended before the account may change hands: it could not go on elsewhere. */
function underWay({ core, front }: SuccessionOptions): readonly string[] {
  const { scheduler, jobs, views } = core();
  const units = [...scheduler.state.units.values()].flatMap(({ spec: { id }, phase: { kind } }) => {
    if (kind === 'starting' || kind === 'stopping' || kind === 'freezing' || kind === 'thawing')
      return [`${id} is ${kind}`];
    return views.preparing(id) ? [`${id} is being prepared`] : [];
  });
  return [...units, ...jobs.jobs.underWay(), ...front().changes()];
}

const heldLeases = ({ units }: State): HeldLeases[] =>
  [...units.values()].flatMap(({ spec, leases, connections }) =>
    leases.size + connections.size > 0 ? [{ unit: spec.id, leases: [...leases.keys()], open: [...connections] }] : [],
  );
