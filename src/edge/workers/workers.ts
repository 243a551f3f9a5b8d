import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';
import { afterHello } from './hello.ts';
import { createHopListener, tokenBytes } from './hop.ts';
import type { Pair, ToWorker } from './messages.ts';
import { createWorkerProcess } from './worker-process.ts';
import type { Offered } from './handing.ts';
import type { Drop, Relayed } from './relays.ts';
import type { WorkerProcess } from './worker-process.ts';

export interface WorkersOptions {
  readonly count: number;
  readonly clock: Clock;
  readonly log: Logger;
  /** Milliseconds for a client's hello, and for the handshake after it. */
  readonly handshakeMs: number;
  /** Takes a client's connection whose TLS a worker speaks. */
  readonly take: (socket: Socket) => void;
  /** How many connections are with the workers now. */
  readonly onOpen: (open: number) => void;
}

/** What passes on the rest of long answers in the platform's place. */
export interface RelayPlaces {
  /** One that would take a relay now; null where none does. */
  free(): { relay(relayed: Relayed): Drop | null } | null;
}

/**
 * Processes that speak TLS in the platform's place, and pass on the rest of long answers. They decide nothing: what clients say
 * comes back here in the clear.
 */
export interface Workers extends RelayPlaces {
  /** Takes a connection on which TLS begins. `here` is called instead where no worker can. */
  offer(socket: Socket, here: () => void): void;
  secure(pair: Pair): void;
  /** What each of them has now. */
  list(): readonly Pick<WorkerProcess, 'pid' | 'open' | 'relays' | 'bytes'>[];
  /** Calls back when they have no connection, perhaps at once. */
  whenEmpty(then: () => void): void;
  /** Ends them, and with them the connections that they have. */
  close(): Promise<void>;
}

export async function createWorkers({ count, clock, log, ...options }: WorkersOptions): Promise<Workers> {
  const { handshakeMs } = options;
  const [token, ticketKeys] = [randomBytes(tokenBytes), randomBytes(48)];
  // Only the platform's own user gets into it; and the path of a socket must be short, which a home's need not be.
  const folder = await mkdtemp(join(tmpdir(), 'sutaz-door-'));
  const path = join(folder, 'hop');
  const hops = createHopListener(token, options.take);
  await once(hops.listen(path), 'listening');
  const begin: ToWorker = {
    ...{ kind: 'begin', path, handshakeMs },
    ...{ token: token.toString('base64'), ticketKeys: ticketKeys.toString('base64') },
  };
  const waiting: (() => void)[] = [];
  const open = () => workers.reduce((sum, worker) => sum + worker.open, 0);
  const onChange = () => {
    options.onOpen(open());
    if (open() === 0) for (const then of waiting.splice(0)) then();
  };
  const place = (offered: Offered): void => {
    if (offered.socket.destroyed) return;
    const worker = freest(workers);
    if (worker) worker.offer(offered);
    else offered.here();
  };
  const onLeft = (offered: readonly Offered[]) => offered.forEach(place);
  const workers = Array.from({ length: count }, () => createWorkerProcess({ begin, clock, log, onChange, onLeft }));
  return {
    offer: (socket, here) => afterHello(socket, clock, handshakeMs, () => place({ socket, here })),
    secure(pair) {
      for (const worker of workers) worker.secure(pair);
    },
    free: () => freest(workers.filter(({ isFree }) => isFree)),
    list: () => workers,
    whenEmpty(then) {
      if (open() === 0) then();
      else waiting.push(then);
    },
    async close() {
      await Promise.all(workers.map((worker) => worker.close()));
      await new Promise((resolve) => hops.close(resolve));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** The one with the fewest connections of those that can take one. */
const freest = (workers: readonly WorkerProcess[]): WorkerProcess | null =>
  workers.reduce<WorkerProcess | null>(
    (best, worker) => (worker.isReady && (best === null || loadOf(worker) < loadOf(best)) ? worker : best),
    null,
  );

const loadOf = ({ open, relays }: WorkerProcess): number => open + relays;
