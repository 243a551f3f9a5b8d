import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { root } from './_platform.ts';

/** A folder for a run, which goes with the test. */
export async function temporary(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'sutaz-job-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A tool that does as `test/tool.mjs` is told. */
export const toolDefinition = (id: string, extra = ''): string => `id: ${id}
name: Tool
summary: Does as it is told
category: dev-tool
kind: job
run:
  process:
    command: [node, '${root}test/tool.mjs', '{args}']
    env: { MODEL: '{model}' }
job: { folder: --repo, time: 60s, memory: 256MiB }
stop: { grace: 300ms }
resources: { memory: 64MiB, concurrency: 8 }
consumes:
  openai: { OPENAI_BASE_URL: '{openai.url}', OPENAI_API_KEY: '{key}' }
${extra}`;
