import { once } from 'node:events';
import type { Io } from './context.ts';

/** Milliseconds after which somebody may wonder what is waited for. */
const patienceMs = 5_000;

/** The process's own terminal. A reader that leaves (`sutaz ps | head -1`) ends the command quietly. */
export function processIo(hintAfterMs = patienceMs): Io {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(0);
      throw error;
    });
  }
  return {
    env: process.env,
    cwd: process.cwd(),
    out: (text) => void process.stdout.write(text),
    err: (text) => void process.stderr.write(text),
    async drained() {
      if (process.stdout.writableNeedDrain) await once(process.stdout, 'drain');
    },
    outTty: process.stdout.isTTY === true,
    errTty: process.stderr.isTTY === true,
    inTty: process.stdin.isTTY === true,
    readInput: () => readAll(hintAfterMs),
    columns: () => process.stdout.columns || process.stderr.columns || 100,
    prompt(text) {
      const history: string[] = [];
      return () => ask(text, history);
    },
  };
}

/** A pipe that nobody writes to or closes, as ssh and editors leave it, would look like a command that hangs. */
async function readAll(hintAfterMs: number): Promise<string> {
  const parts: Uint8Array[] = [];
  const hint = setTimeout(() => {
    process.stderr.write('Reading the standard input to its end; < /dev/null gives none.\n');
  }, hintAfterMs);
  try {
    for await (const chunk of process.stdin) {
      clearTimeout(hint);
      parts.push(chunk as Uint8Array);
    }
  } finally {
    clearTimeout(hint);
  }
  return Buffer.concat(parts).toString('utf8');
}

/**
 * An interface for each question: one kept open would leave the terminal raw during the answer, where Ctrl-C is a
 * character and interrupts nothing.
 */
async function ask(text: string, history: string[]): Promise<string | null> {
  const { createInterface } = await import('node:readline/promises');
  const reader = createInterface({ input: process.stdin, output: process.stderr, history, historySize: 500 });
  try {
    const ended = new Promise<null>((resolve) => {
      reader.on('close', () => resolve(null)).on('SIGINT', () => reader.close());
    });
    reader.on('history', (lines) => void history.splice(0, history.length, ...lines));
    return await Promise.race([reader.question(text).catch(() => null), ended]);
  } finally {
    reader.close();
  }
}
