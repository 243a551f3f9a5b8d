import { once } from 'node:events';
import type { Io } from './context.ts';

/** The process's own terminal. A reader that leaves (`sutaz ps | head -1`) ends the command quietly. */
export function processIo(): Io {
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
    async readInput() {
      const parts: Uint8Array[] = [];
      for await (const chunk of process.stdin) parts.push(chunk as Uint8Array);
      return Buffer.concat(parts).toString('utf8');
    },
    columns: () => process.stdout.columns || process.stderr.columns || 100,
    prompt(text) {
      const history: string[] = [];
      return () => ask(text, history);
    },
  };
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
