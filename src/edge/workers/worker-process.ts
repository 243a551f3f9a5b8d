import { fork } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { extname, join } from 'node:path';
import type { Cancel, Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';
import type { FromWorker, Pair, ToWorker } from './messages.ts';

/** A client's connection that waits to be sent, and what is done with it where no worker takes it. */
export interface Offered {
  readonly socket: Socket;
  readonly here: () => void;
}

export interface WorkerProcessOptions {
  /** The first it is told, and the certificate. */
  readonly begin: ToWorker;
  readonly pair: Pair;
  readonly clock: Clock;
  readonly log: Logger;
  /** Connections came or went. */
  readonly onChange: () => void;
  /** It died before these had come to it. */
  readonly onLeft: (offered: readonly Offered[]) => void;
}

/** A worker, which is started again as often as it dies. */
export interface WorkerProcess {
  readonly isReady: boolean;
  /** Connections that are with it, or wait to be. */
  readonly open: number;
  offer(offered: Offered): void;
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

interface State {
  /** Null between its end and its next start. */
  child: ChildProcess | null;
  isReady: boolean;
  /** The connection that is on its way to it. It is open here, too, until it has come. */
  sending: Offered | null;
  open: number;
}

const vacant: State = { child: null, isReady: false, sending: null, open: 0 };

export function createWorkerProcess({ begin, clock, log, ...options }: WorkerProcessOptions): WorkerProcess {
  const state: State = { ...vacant };
  const waiting: Offered[] = [];
  let { pair } = options;
  let closing = false;
  let failures = 0;
  let cancel: Cancel = () => undefined;
  const sendNext = (): void => {
    while (state.child && !state.sending) {
      const next = waiting.shift();
      if (!next) return;
      if (next.socket.destroyed) {
        state.open--;
        continue;
      }
      state.sending = next;
      // Node would have the server count it among those that other processes have, and then close without waiting for its own.
      Object.assign(next.socket, { server: null });
      say(state.child, { kind: 'connection', hello: helloOf(next.socket) }, next.socket);
    }
  };
  // Both processes read from it until it is closed here: answered before, a client's next bytes could be lost.
  const confirm = (): void => {
    state.sending?.socket.destroy();
    state.sending = null;
    if (state.child) say(state.child, { kind: 'go' });
  };
  const hear = (message: FromWorker): void => {
    if (message.kind === 'ready') {
      state.isReady = true;
      log.info('a process is ready to speak TLS', { worker: state.child?.pid });
    }
    if (message.kind === 'taken') confirm();
    if (message.kind === 'closed') state.open -= message.count;
    sendNext();
    options.onChange();
  };
  const onEnd = (since: number, how: string): void => {
    const left = [...(state.sending ? [state.sending] : []), ...waiting.splice(0)];
    Object.assign(state, vacant);
    options.onChange();
    if (closing) return;
    options.onLeft(left);
    failures = clock.now() - since > provenMs ? 0 : failures + 1;
    const afterMs = Math.min(longestMs, againMs * 2 ** failures);
    log.warn('a process that speaks TLS ended, and another one is started', { how, afterMs });
    cancel = clock.after(afterMs, start);
  };
  const start = (): void => {
    const child = launch(begin, pair);
    const since = clock.now();
    state.child = child;
    child.on('message', hear);
    // Told of by `exit`, unless it never began.
    child.on('error', (error) => child.pid === undefined && onEnd(since, String(error)));
    child.once('exit', (code, signal) => onEnd(since, signal ?? `status ${code}`));
  };
  start();
  return {
    get isReady() {
      return state.isReady;
    },
    get open() {
      return state.open;
    },
    offer(offered) {
      state.open++;
      waiting.push(offered);
      sendNext();
      options.onChange();
    },
    secure(next) {
      pair = next;
      if (state.child) say(state.child, { kind: 'secure', ...next });
    },
    async close() {
      closing = true;
      cancel();
      if (state.child) await ended(state.child);
    },
  };
}

function launch(begin: ToWorker, pair: Pair): ChildProcess {
  const child = fork(entry, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
  say(child, begin);
  say(child, { kind: 'secure', ...pair });
  return child;
}

function say(child: ChildProcess, message: ToWorker, socket?: Socket): void {
  // That it ended meanwhile is told by `exit`.
  if (child.connected) child.send(message, socket, { keepOpen: true }, () => undefined);
}

/** What a client has said. It stays with the connection, should another one have to take it. */
function helloOf(socket: Socket): string {
  const hello = (socket.read() as Buffer | null) ?? Buffer.alloc(0);
  if (hello.byteLength > 0) socket.unshift(hello);
  return hello.toString('base64');
}

async function ended(child: ChildProcess): Promise<void> {
  const late = setTimeout(() => child.kill('SIGKILL'), endMs);
  const exit = once(child, 'exit');
  if (child.connected) child.disconnect();
  await exit;
  clearTimeout(late);
}
