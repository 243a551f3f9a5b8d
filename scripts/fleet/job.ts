import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { ServiceDefinition } from '#catalog/service';
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { fill, fillAll } from '#runtime/blueprint';
import { openEnvironments } from '#runtime/environments/environments';
import type { TestPlatform } from '../../test/_platform.ts';
import { faultOf } from './answer.ts';
import { ran } from './use.ts';
import type { Used } from './use.ts';

/** One run of a job as its definition says, in its environment and against the platform's door. `preparedMs` went to its packages. */
export async function useJob(
  { id, run, verify, consumes }: ServiceDefinition,
  platform: TestPlatform,
  signal: AbortSignal,
): Promise<Used & { readonly preparedMs: number }> {
  if (!run.process || !verify || !('args' in verify)) throw new Error('Its definition does not say how it is run.');
  const { home, url, key } = platform;
  const began = performance.now();
  const environments = await openEnvironments({ dir: join(home, 'env'), clock: systemClock, log: silentLogger });
  const environment = await environments.ensure(run.process, { signal, onProgress: () => undefined });
  const preparedMs = performance.now() - began;
  const data = join(home, 'services', id);
  await mkdir(data, { recursive: true });
  const values = { data, home, key, model: 'default', 'openai.url': `${url}/v1`, env: environment?.path ?? '' };
  const argv = run.process.command.flatMap((part) =>
    part === '{args}' ? verify.args : [fill(part, values, `${id}: command`)],
  );
  const variables = Object.assign({}, run.process.env, ...Object.values(consumes)) as Record<string, string>;
  const path = [environment?.bin, process.env.PATH].filter(Boolean).join(':');
  const env = { HOME: data, ...environment?.env, ...fillAll(variables, values, id), PATH: path };
  const answer = await ran(argv, { cwd: data, env, signal });
  const what = `${run.process.command[0]} ${verify.args.join(' ')}`;
  return { what, answer, fault: faultOf(answer, { status: 0, text: verify.text }), preparedMs };
}
