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
import type { Offered, WorkerProcess } from './worker-process.ts';

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

/** Processes that speak TLS in the platform's place. They decide nothing: what clients say comes back here in the clear. */
export interface Workers {
  /** Takes a connection on which TLS begins. `here` is called instead where no worker can. */
  offer(socket: Socket, here: () => void): void;
  /** They are started with the first one. */
  secure(pair: Pair): void;
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
  const workers: WorkerProcess[] = [];
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
  return {
    offer: (socket, here) => afterHello(socket, clock, handshakeMs, () => place({ socket, here })),
    secure(pair) {
      for (const worker of workers) worker.secure(pair);
      while (workers.length < count) workers.push(createWorkerProcess({ begin, pair, clock, log, onChange, onLeft }));
    },
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
    (best, worker) => (worker.isReady && (best === null || worker.open < best.open) ? worker : best),
    null,
  );
