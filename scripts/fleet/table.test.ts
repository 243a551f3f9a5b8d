import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { serviceSchema } from '#catalog/service';
import { builtInCatalog } from '../../test/_prepared.ts';
import { readVerified } from './record.ts';
import type { Verification } from './record.ts';
import { renderServices, withServices } from './table.ts';
import { readTogether, renderTogether } from './together-record.ts';

const service = (id: string, gpu = 'none') =>
  serviceSchema.parse({
    ...{ id, name: id.toUpperCase(), summary: id, category: 'tool', homepage: `https://${id}.example.org` },
    run: { process: { command: [id] } },
    resources: { memory: '1MiB', gpu },
  });
const common = { date: '2026-11-01', version: '1.2' };
const figures = { way: 'process', startSeconds: 1.5, pssBytes: 2 ** 20, call: null } as const;

describe('the table of services', () => {
  it('tells what was verified with its figures, what failed with its error, and what needs a card', () => {
    const found: Verification[] = [
      { outcome: 'verified', id: 'a', ...common, ...figures, sleep: { rung: 'frozen', wakeSeconds: 0.02 } },
      { outcome: 'failed', id: 'b', ...common, ...figures, sleep: null, error: 'no | such\nthing' },
      { outcome: 'not-here', id: 'c', ...common, why: 'a container only' },
      { outcome: 'not-here', id: 'e', ...common, why: 'needs a graphics card' },
    ];
    const all = [service('d'), service('e', 'required'), service('c'), service('b'), service('a')];
    expect(renderServices(all, found)).toBe(`| Verified: 1 | what | release | start | memory | asleep, awake in |
|---|---|---|---|---|---|
| [A](https://a.example.org) | tool | 1.2 | 1.5 s | 1 MiB | frozen, 0.02 s |

| Defined only: 3 | what | why |
|---|---|---|
| [B](https://b.example.org) | tool | failed: no \\| such |
| [C](https://c.example.org) | tool | a container only |
| [D](https://d.example.org) | tool | not tried yet |

| Needs a graphics card: 1 | what |
|---|---|
| [E](https://e.example.org) | tool |
`);
  });

  it('is not written where its place is unknown', () => {
    expect(() => withServices('# A readme', [])).toThrow('marks');
  });

  it('of README.md is up to date: run `npm run schema`', async () => {
    const readme = readFileSync(join(import.meta.dirname, '..', '..', 'README.md'), 'utf8');
    const definitions = [...(await builtInCatalog()).services.values()].map(({ definition }) => definition);
    const parts = [renderServices(definitions, await readVerified()), renderTogether(await readTogether())];
    expect(readme).toBe(withServices(readme, parts));
  });
});
