import type { OnProgress, Progress } from '#contracts/models';
import type { Clock } from '#kernel/clock';
import type { Logger } from '#kernel/logger';

/** Progress more often than this is read by nobody, and each message is an event on somebody's connection. */
const pauseMs = 100;

/** Lets through what changes the phase or the subject, what is complete, and of the rest one each `pauseMs`. */
export function paced(clock: Clock, listener: OnProgress): OnProgress {
  let last: { readonly progress: Progress; readonly at: number } | undefined;
  return (progress) => {
    const now = clock.now();
    const same = last && last.progress.phase === progress.phase && last.progress.what === progress.what;
    const complete = progress.total !== undefined && progress.done >= progress.total;
    if (last && same && !complete && now - last.at < pauseMs) return;
    last = { progress, at: now };
    listener(progress);
  };
}

/** One caller's place at the progress of a name. */
export interface Seat {
  readonly publish: OnProgress;
  leave(): void;
}

/** Who listens to whose progress. A board goes with its last seat. */
export interface Boards {
  join(name: string, listener: OnProgress | undefined): Seat;
  latest(): ReadonlyMap<string, Progress>;
}

interface Board {
  seats: number;
  latest?: Progress;
  readonly listeners: Set<OnProgress>;
}

export function createBoards(log: Logger): Boards {
  const boards = new Map<string, Board>();
  const tell = (listener: OnProgress, progress: Progress) => {
    try {
      listener(progress);
    } catch (error) {
      // One caller's broken listener must not end the pull of all.
      log.warn('progress listener failed', { error: String(error) });
    }
  };
  return {
    join(name, given) {
      const board = boards.get(name) ?? { seats: 0, listeners: new Set<OnProgress>() };
      boards.set(name, board);
      board.seats++;
      // Wrapped, so that one function given by two callers is two listeners.
      const listener = given && ((progress: Progress) => tell(given, progress));
      if (listener) board.listeners.add(listener);
      if (listener && board.latest) listener(board.latest);
      return {
        publish(progress) {
          board.latest = progress;
          for (const each of board.listeners) each(progress);
        },
        leave() {
          if (listener) board.listeners.delete(listener);
          if (--board.seats === 0 && boards.get(name) === board) boards.delete(name);
        },
      };
    },
    latest: () => new Map([...boards].flatMap(([name, { latest }]) => (latest ? [[name, latest] as const] : []))),
  };
}
