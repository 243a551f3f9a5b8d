import { rmSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Options } from './_options.ts';

/**
 * The folder that `--home` names, else a temporary one, which goes when this process does. An interrupt ends it in the same
 * way as its own end: what is to go on its exit goes, engines too.
 */
export async function homeOf(options: Options, bench: string): Promise<string> {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  const given = options.one('home');
  if (given !== undefined) return given;
  const home = await mkdtemp(join(tmpdir(), `sutaz-${bench}-`));
  process.once('exit', () => rmSync(home, { recursive: true, force: true, maxRetries: 3 }));
  return home;
}
