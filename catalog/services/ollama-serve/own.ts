import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Remote } from '../upstream/remote.ts';

/** Milliseconds in which it must listen, and between looks. */
const listenMs = 30_000;
const lookMs = 50;
/** Milliseconds in which it must end once it was asked to; with letting the model go less than the host has for closing. */
const endMs = 1_000;

export interface OwnOptions {
  readonly url: string;
  readonly env: NodeJS.ProcessEnv;
  /** It ended by itself: then so must the process that stands for its model. */
  readonly onGone: (why: string) => void;
}

/**
 * An Ollama of this process's own, for one model. It listens on this machine only, where anyone on the machine reaches it as they reach
 * the Ollama they start themselves: Ollama knows no key. Its processes are this one's children, so that the ledger measures them with it
 * and nothing is left to tell.
 */
export function ownOllama(remote: Remote, options: OwnOptions): Remote {
  let child: ChildProcess | null = null;
  let isClosing = false;
  return {
    async open(signal, onProgress) {
      child = begin(options, (why) => {
        // Whoever ends all processes of an instance at once ends this one, too.
        if (!isClosing && !signal.aborted) options.onGone(why);
      });
      await untilItListens(options.url, signal);
      await remote.open(signal, onProgress);
    },
    // OLLAMA_KEEP_ALIVE says it for all requests.
    rested: () => Promise.resolve(),
    weight: () => Promise.resolve(0),
    async close() {
      isClosing = true;
      if (!child || hasEnded(child)) return;
      // What it was to load is not worth waiting for: its end lets go of that, too.
      await Promise.race([remote.close().catch(() => undefined), sleep(endMs / 2)]);
      await end(child);
    },
  };
}

const hasEnded = ({ exitCode, signalCode }: ChildProcess): boolean => exitCode !== null || signalCode !== null;

function begin({ url, env }: OwnOptions, onEnd: (why: string) => void): ChildProcess {
  const child = spawn('ollama', ['serve'], { env: { ...env, OLLAMA_HOST: new URL(url).host }, stdio: 'inherit' });
  child.once('error', ({ message }) => onEnd(notThere(message)));
  child.once('exit', (code, signal) => onEnd(`ollama serve ended with ${String(signal ?? code)}`));
  // It ends its own children when it is asked to end, whatever ends this process.
  process.once('exit', () => child.kill('SIGTERM'));
  return child;
}

const notThere = (message: string): string =>
  message.includes('ENOENT')
    ? `ollama is not on this machine's PATH. Install it from https://ollama.com/download, or use another engine.`
    : message;

async function untilItListens(url: string, signal: AbortSignal): Promise<void> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(listenMs)]);
  for (;;) {
    const answers = await fetch(`${url}/api/version`, { signal: limit }).then(
      ({ ok, body }) => body?.cancel().then(() => ok) ?? ok,
      () => false,
    );
    if (answers) return;
    if (limit.aborted) throw new Error(`ollama serve did not listen within ${String(listenMs / 1000)} s`);
    await sleep(lookMs);
  }
}

async function end(child: ChildProcess): Promise<void> {
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const late = sleep(endMs, 'late' as const, { ref: false });
  if ((await Promise.race([gone, late])) === 'late') child.kill('SIGKILL');
}

/** A port that is free now. Whoever takes it first has it: then the start fails, and the next one takes another. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
