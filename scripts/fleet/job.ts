import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServiceDefinition } from '#catalog/service';
import { createClient } from '#clients/sdk';
import type { ApiJob } from '#contracts/jobs-api';
import type { TestPlatform } from '../../test/_platform.ts';
import { faultOf } from './answer.ts';
import type { Used } from './use.ts';

export type Door = Pick<TestPlatform, 'url' | 'key'>;

/** One run of a job, as its users have it. `run` is what the platform knows of it at its end. */
export async function useJob(
  { id, verify }: ServiceDefinition,
  door: Door,
  signal: AbortSignal,
): Promise<Used & { readonly run: ApiJob }> {
  if (!verify || !('args' in verify)) throw new Error('Its definition does not say how it is run.');
  const client = createClient(door);
  const folder = verify.files ? await folderWith(verify.files) : null;
  const ask = { tool: id, args: verify.args, ...(folder !== null && { folder }) };
  let run = '';
  let text = '';
  try {
    ({ id: run } = await client.startJob(ask, { signal }));
    for await (const { event, data } of client.readJobOutput(run, {}, { signal })) {
      if (event === 'output') text += data.text;
      if (event === 'done') return { run: data, ...judged(data, text, verify) };
    }
    throw new Error('Its output broke off.');
  } finally {
    // Does nothing to one that has ended.
    if (run !== '') await client.cancelJob(run);
    if (folder !== null) await rm(folder, { recursive: true, force: true });
  }
}

async function folderWith(files: Readonly<Record<string, string>>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sutaz-fleet-job-'));
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text);
  return folder;
}

function judged(
  { tool, end }: ApiJob,
  said: string,
  { args, text: wanted }: { readonly args: readonly string[]; readonly text?: string | undefined },
): Used {
  // Where it did not end by itself there is no answer, and the reason is all that can be told.
  if (end?.reason !== 'exited' || end.code === null) throw new Error(`${end?.message ?? ''} ${said}`.trim());
  const answer = { status: end.code, text: said };
  return { what: `sutaz run ${tool} ${args.join(' ')}`, answer, fault: faultOf(answer, { status: 0, text: wanted }) };
}
