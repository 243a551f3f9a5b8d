import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { configSchema } from '#config/static';
import { formatProblem, parseStrict } from '#config/strict';
import { keysOf } from '#config/walk';
import { modelSchema } from './model.ts';
import { placeholdersOf } from './placeholders.ts';
import { serviceSchema } from './service.ts';
import { buildCatalog } from './snapshot.ts';
import { readFolders } from './source.ts';

const root = join(import.meta.dirname, '..', '..');
const read = (name: string) => readFile(join(root, 'docs', name), 'utf8');
const definitions = await read('definitions.md');
const upstreams = await read('upstreams.md');
const builtIn = await readFolders([{ path: join(root, 'catalog'), origin: 'built-in' }]);

const mcp = await read('mcp.md');
const jobs = await read('jobs.md');
const blocksOf = (document: string) =>
  [...document.matchAll(/^```yaml (service|model)( wrong)?\n([\s\S]*?)^```\n(?:\n```\n([\s\S]*?)^```)?/gm)].map(
    ([, kind, wrong, text = '', problems = '']) => ({
      kind: kind as 'service' | 'model',
      text,
      problems: wrong ? problems.trim().split('\n') : [],
    }),
  );

describe('docs/mcp.md', () => {
  it.each(blocksOf(mcp))('has a $kind that is right', ({ kind, text, problems }) => {
    const { disabled } = buildCatalog([...builtIn, { kind, path: 'everything.yaml', origin: 'user', text }]);
    expect(disabled.flatMap((one) => one.problems.map(formatProblem))).toEqual(problems);
  });

  it('has one', () => expect(blocksOf(mcp)).toHaveLength(1));
});

describe('docs/jobs.md', () => {
  it('has a definition that is right', () => {
    const [block, ...others] = blocksOf(jobs);
    expect(others).toEqual([]);
    const file = { kind: 'service', path: 'summary.yaml', origin: 'user', text: block?.text ?? '' } as const;
    const { disabled, services } = buildCatalog([...builtIn, file]);
    expect([disabled, services.get('summary')?.definition.kind]).toEqual([[], 'job']);
  });
});

describe('docs/definitions.md', () => {
  const blocks = blocksOf(definitions + upstreams);
  it.each(blocks)('says what the platform says of its $kind (block %#)', ({ kind, text, problems }) => {
    const path = `${/^id: ([a-z0-9]+)/.exec(text)?.[1]}.yaml`;
    const { disabled } = buildCatalog([...builtIn, { kind, path, origin: 'user', text }]);
    expect(disabled.flatMap((one) => one.problems.map(formatProblem))).toEqual(problems);
  });

  it('has examples of both kinds, right and wrong', () => {
    expect(new Set(blocks.map(({ kind, problems }) => `${kind} ${problems.length > 0}`)).size).toBe(4);
  });

  it('explains every key and every placeholder', () => {
    for (const key of [...keysOf([serviceSchema]), ...keysOf([modelSchema])]) {
      expect(definitions, key).toMatch(new RegExp(`^\\|.*\`${key}[\`.\\[]`, 'm'));
    }
    for (const kind of ['server', 'job', 'engine'] as const) {
      for (const name of placeholdersOf({ kind }, ['openai.url'])) expect(definitions).toContain(`\`{${name}}\``);
    }
  });
});

describe.each(['configuration.md', 'limits.md', 'routes.md', 'upstreams.md'])('docs/%s', async (file) => {
  const examples = [...(await read(file)).matchAll(/^```yaml config\n([\s\S]*?)^```/gm)];

  it.each(examples.map(([, text = '']) => text))('has examples that are right (block %#)', (text) => {
    expect(parseStrict(text, 'sutaz.yaml', configSchema)).toMatchObject({ ok: true });
  });

  it('has them', () => expect(examples.length).toBeGreaterThan(0));
});
