import type { Server } from 'node:net';
import { Fault } from '#kernel/faults';
import type { WaiterId } from '#kernel/ids';
import type { Link } from '#kernel/link';
import type { Scheduler } from '#scheduler/run-loop';
import { isA, protocol } from './messages.ts';
import type { FromPredecessor, FromSuccessor, HeldLeases } from './messages.ts';

/** What an earlier process leaves to this one. */
export interface Heritage {
  /** All that it says, from the first word on. */
  readonly link: Link;
  readonly held: readonly HeldLeases[];
  /** The door's. */
  readonly url: string;
  /** To be called when everything is taken up: its listener, from which connections come at once. */
  listener(): Promise<Server>;
  /** Requests are answered here. */
  listening(url: string): void;
}

/** Says that this process could go on, and waits for what it is handed. Throws when the other one has ended. */
export async function inherit(link: Link, version: string): Promise<Heritage> {
  const { all, forget } = remembering(link);
  const send = (message: FromSuccessor) => link.send(message);
  send({ kind: 'prepared', protocol, version });
  const { message } = await first(all, 'yours');
  return {
    link: all,
    held: message.held,
    url: message.url,
    async listener() {
      send({ kind: 'ready' });
      const { listener } = await first(all, 'listen');
      if (!listener) throw new Fault('INTERNAL', 'The listener did not come along.');
      return listener;
    },
    listening(url) {
      forget();
      send({ kind: 'listening', url });
    },
  };
}

/** Gives back what the earlier process still had at work, as each of it ends, and the rest when that process does. */
export function followHeld({ link, held }: Heritage, scheduler: Scheduler): void {
  const open = new Map<string, () => void>();
  for (const { unit, leases, open: left } of held) {
    const note = (kind: 'release' | 'closed', waiter: WaiterId) =>
      open.set(`${kind} ${waiter}`, () => scheduler.dispatch({ kind, waiter, unit }));
    for (const waiter of leases) note('release', waiter);
    for (const waiter of left) note('closed', waiter);
  }
  const end = (key: string) => {
    const give = open.get(key);
    open.delete(key);
    give?.();
  };
  link.onMessage((message) => {
    if (isA<FromPredecessor, 'lease'>(message, 'lease')) end(`${message.event} ${message.waiter}`);
  });
  link.onClose(() => {
    for (const key of [...open.keys()]) end(key);
  });
}

/** The same link; until that is forgotten, whoever listens later hears what was said before, too. */
function remembering(link: Link): { readonly all: Link; readonly forget: () => void } {
  const said: [message: unknown, listener: Server | null][] = [];
  const unlisten = link.onMessage((message, listener) => void said.push([message, listener]));
  const all: Link = {
    ...link,
    onMessage(take) {
      for (const [message, listener] of [...said]) take(message, listener);
      return link.onMessage(take);
    },
  };
  return {
    all,
    forget() {
      unlisten();
      said.length = 0;
    },
  };
}

async function first<K extends FromPredecessor['kind']>(
  link: Link,
  kind: K,
): Promise<{ readonly message: Extract<FromPredecessor, { readonly kind: K }>; readonly listener: Server | null }> {
  const ends: (() => void)[] = [];
  try {
    return await new Promise((resolve, reject) => {
      ends.push(
        link.onMessage((message, listener) => {
          if (isA<FromPredecessor, K>(message, kind)) resolve({ message, listener });
        }),
        link.onClose(() => reject(new Fault('CANCELLED', 'The process that was to be replaced has ended.'))),
      );
    });
  } finally {
    for (const end of ends) end();
  }
}
