import { aborted, throwIfAborted } from '#kernel/abort';

/** How many runs of one tool there may be at once: the others wait in the order in which they came. */
export interface Places {
  /** Resolves with what gives the place back, to be called in a `finally`; rejects when the signal aborts. */
  take(tool: string, most: number, signal: AbortSignal): Promise<() => void>;
}

export function createPlaces(): Places {
  const lines = new Map<string, Line>();
  const giveBack = (tool: string, line: Line): void => {
    const next = line.waiting.shift();
    // The place goes from hand to hand: nobody who comes just now may slip in between.
    if (next) return next();
    line.taken--;
    if (line.taken === 0) lines.delete(tool);
  };
  return {
    async take(tool, most, signal) {
      throwIfAborted(signal);
      const line = lines.get(tool) ?? { taken: 0, waiting: [] };
      lines.set(tool, line);
      if (line.taken >= most) await inLine(line, signal, () => giveBack(tool, line));
      else line.taken++;
      let held = true;
      return () => {
        if (held) giveBack(tool, line);
        held = false;
      };
    },
  };
}

interface Line {
  taken: number;
  readonly waiting: (() => void)[];
}

async function inLine({ waiting }: Line, signal: AbortSignal, giveBack: () => void): Promise<void> {
  const turn = Promise.withResolvers<void>();
  waiting.push(turn.resolve);
  const leave = aborted(signal);
  try {
    await Promise.race([turn.promise, leave.promise]);
  } catch (error) {
    const at = waiting.indexOf(turn.resolve);
    if (at >= 0) waiting.splice(at, 1);
    // It was handed the place in the same moment.
    else giveBack();
    throw error;
  } finally {
    leave.stop();
  }
}
