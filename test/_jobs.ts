import { root } from './_platform.ts';

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
