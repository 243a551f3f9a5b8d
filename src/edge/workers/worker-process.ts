import { fork } from 'node:child_process';
import type { ChildProcess, SendHandle } from 'node:child_process';
import { once } from 'node:events';
import { extname, join } from 'node:path';
import type { Cancel, Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';
import type { FromWorker, Pair, ToWorker } from './messages.ts';
import { createHanding } from './handing.ts';
import type { Handing, Offered } from './handing.ts';
import { createRelays } from './relays.ts';
import type { Say } from './relays.ts';

export interface WorkerProcessOptions {
  /** The first it is told. */
  readonly begin: ToWorker;
  readonly clock: Clock;
  readonly log: Logger;
  /** Connections came or went. */
  readonly onChange: () => void;
  /** It died before these had come to it. */
  readonly onLeft: (offered: readonly Offered[]) => void;
}

/** A worker, which is started again as often as it dies. */
export interface WorkerProcess extends Pick<Handing, 'open' | 'offer' | 'relay'> {
  readonly isReady: boolean;
  /** Whether it would take a relay now. */
  readonly isFree: boolean;
  readonly pid: number | undefined;
  /** Answers whose rest it passes on. */
  readonly relays: number;
  /** Bytes that it wrote to clients for them, it and those in its place before. */
  readonly bytes: number;
  secure(pair: Pair): void;
  close(): Promise<void>;
}

/** Milliseconds before one that died is started again; doubled each time up to the longest. */
const againMs = 500;
const longestMs = 60_000;
/** Milliseconds after which it has proved to work. */
const provenMs = 60_000;
/** Milliseconds for it to end by itself. */
const endMs = 2_000;

/** Beside this file, as a source or in its compiled form. */
const entry = join(import.meta.dirname, `worker${extname(import.meta.filename)}`);

export function createWorkerProcess({ begin, clock, log, ...options }: WorkerProcessOptions): WorkerProcess {
  /** Null between its end and its next start. */
  let child: ChildProcess | null = null;
  let isReady = false;
  const tell: Say = (message, handle, failed) => child && say(child, message, handle, failed);
  const relays = createRelays({ clock, say: tell, stuck: () => void child?.kill('SIGKILL') });
  const handing = createHanding(tell, relays);
  let pair: Pair | null = null;
  let closing = false;
  let failures = 0;
  let cancel: Cancel = () => undefined;
  const hear = (message: FromWorker): void => {
    if (message.kind === 'ready') {
      isReady = true;
      log.info('a worker is ready', { worker: child?.pid });
    }
    if (message.kind === 'taken') handing.taken();
    if (message.kind === 'closed') handing.closed(message.count);
    relays.hear(message);
    options.onChange();
  };
  const onEnd = (since: number, how: string): void => {
    child = null;
    isReady = false;
    const left = handing.reset();
    const lost = relays.size;
    relays.lose();
    options.onChange();
    if (closing) return;
    options.onLeft(left);
    failures = clock.now() - since > provenMs ? 0 : failures + 1;
    const afterMs = Math.min(longestMs, againMs * 2 ** failures);
    log.warn('a worker ended, and another one is started', { how, lost, afterMs });
    cancel = clock.after(afterMs, start);
  };
  const start = (): void => {
    const own = launch(begin, pair);
    const since = clock.now();
    child = own;
    own.on('message', hear);
    // Told of by `exit`, unless it never began.
    own.on('error', (error) => own.pid === undefined && onEnd(since, String(error)));
    own.once('exit', (code, signal) => onEnd(since, signal ?? `status ${code}`));
  };
  start();
  return {
    get isReady() {
      return isReady;
    },
    get isFree() {
      return isReady && handing.isFree;
    },
    get pid() {
      return child?.pid;
    },
    get open() {
      return handing.open;
    },
    get relays() {
      return relays.size;
    },
    get bytes() {
      return relays.bytes;
    },
    relay: handing.relay,
    offer(offered) {
      handing.offer(offered);
      options.onChange();
    },
    secure(next) {
      pair = next;
      tell({ kind: 'secure', ...next });
    },
    async close() {
      closing = true;
      cancel();
      if (child) await ended(child);
    },
  };
}

function launch(begin: ToWorker, pair: Pair | null): ChildProcess {
  const child = fork(entry, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  say(child, begin);
  if (pair) say(child, { kind: 'secure', ...pair });
  return child;
}

function say(child: ChildProcess, message: ToWorker, handle?: SendHandle, failed?: () => void): void {
  // That it ended meanwhile is told by `exit`.
  if (child.connected) child.send(message, handle, { keepOpen: true }, (error) => void (error && failed?.()));
}

async function ended(child: ChildProcess): Promise<void> {
  const late = setTimeout(() => child.kill('SIGKILL'), endMs);
  const exit = once(child, 'exit');
  if (child.connected) child.disconnect();
  await exit;
  clearTimeout(late);
}
