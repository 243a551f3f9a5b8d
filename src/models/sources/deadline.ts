import { deadline } from '#kernel/abort';
import type { SourceContext } from './context.ts';

/** How long a server may take over a short question. */
const answerMs = 30_000;

/** Runs one short question with a time limit of its own; TIMEOUT says `late`, after that the next source is asked. */
export async function deadlined<T>(
  { clock, signal }: Pick<SourceContext, 'clock' | 'signal'>,
  late: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const limit = deadline(clock, answerMs, `${late} within ${answerMs / 1000} s.`, signal);
  try {
    return await work(limit.signal);
  } finally {
    limit.clear();
  }
}
