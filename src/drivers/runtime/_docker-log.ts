import { mkdir, open, type FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type Dockerode from 'dockerode';
import { sleep } from '#kernel/abort';
import type { DriverHost } from '#contracts/driver';
import { createFrames } from './_docker-frames.ts';
import { isGone } from './_docker-engine.ts';
import { againAfter } from './_docker-events.ts';
import { appendKnown } from './_docker-position.ts';

/** A container's output on its way into the instance's log file. */
export interface LogFollow {
  /** Resolves when everything that it wrote before it ended is in the file, or nothing more can be had. */
  readonly done: Promise<void>;
  close(): void;
}

/**
 * Appends what a container writes to a file. The engine keeps the output, so that nothing is lost while no platform runs:
 * what is about to be in the file is noted beside it, and the next platform goes on after that (`_docker-position.ts`).
 */
export function followLog(
  container: Dockerode.Container,
  { logFile, instance }: { readonly logFile: string; readonly instance: string },
  since: bigint,
  { clock, log }: Pick<DriverHost, 'clock' | 'log'>,
): LogFollow {
  const closing = new AbortController();
  const { signal } = closing;
  let last = since;
  const copy = async (file: FileHandle) => {
    const before = last;
    // The engine counts in seconds with a fraction, and a number has room for microseconds of it.
    const from = Number(before / 1_000n) / 1e6;
    const options = {
      follow: true,
      stdout: true,
      stderr: true,
      timestamps: true,
      since: from,
      abortSignal: signal,
    } as const;
    const frames = createFrames();
    for await (const piece of await container.logs(options)) {
      const fresh = frames(piece as Buffer).filter(({ at }) => at === 0n || at > before);
      if (fresh.length === 0) continue;
      const known = { instance, from: last, to: fresh.reduce((latest, { at }) => (at > latest ? at : latest), last) };
      last = known.to;
      const text = Buffer.concat(fresh.map((frame) => frame.text));
      // A full disk costs lines, never the instance: what follows is tried again.
      await appendKnown(logFile, text, known, (all) => file.appendFile(all)).catch((error: unknown) =>
        log.warn('a log could not be written', { logFile, error: String(error) }),
      );
    }
  };
  const run = async () => {
    const file = await openLog(logFile);
    try {
      for (let failures = 1; ; failures++) {
        const before = last;
        try {
          await copy(file);
          // An engine that stops ends the output of what goes on without it, too.
          if (!(await container.inspect({ abortSignal: signal })).State.Running) return;
        } catch (error) {
          if (signal.aborted || isGone(error)) return;
          log.debug('the output of a container broke off', { logFile, error: String(error) });
        }
        if (last > before) failures = 1;
        await sleep(clock, againAfter(failures), signal).catch(() => undefined);
      }
    } finally {
      await file.close();
    }
  };
  const done = run().catch((error: unknown) =>
    log.warn('a log could not be followed', { logFile, error: String(error) }),
  );
  return { done, close: () => closing.abort() };
}

/** Throws what is wrong with the place, before anything is started. */
export async function openLog(logFile: string): Promise<FileHandle> {
  await mkdir(dirname(logFile), { recursive: true });
  // For the owner alone: a service may write prompts, or a key, into its log.
  return open(logFile, 'a', 0o600);
}
