import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { validateCatalog } from './validate.ts';

const service = (id: string, more = '') => `id: ${id}
name: ${id}
summary: does things
category: tool
kind: engine
run: { process: { command: [x] } }
resources: { memory: 1MiB }
${more}`;
const model = (id: string) => `id: ${id}
name: A
summary: a model
engine: llama
size: 1MiB
sources: [{ file: { path: /x } }]
`;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sutaz-validate-'));
  for (const folder of ['built-in/services', 'built-in/models', 'home/services', 'loose']) {
    mkdirSync(join(root, folder), { recursive: true });
  }
  write('built-in/services/llama.yaml', service('llama'));
  write('built-in/models/a.yaml', model('a:b'));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text: string): string {
  writeFileSync(join(root, path), text);
  return join(root, path);
}
const validate = (...files: readonly string[]) =>
  validateCatalog({ builtIn: join(root, 'built-in'), catalog: join(root, 'home'), files });

test('without files everything is checked, the home included', async () => {
  expect(await validate()).toEqual({ checked: 2, problems: [] });
  const bad = write('home/services/bad.yaml', service('bad', 'tire: core\n'));
  const { checked, problems } = await validate();
  expect(checked).toBe(3);
  expect(problems).toMatchObject([{ file: bad, line: 8, column: 1, key: 'tire' }]);
  expect(problems[0]?.message).toContain('Did you mean tier');
});

test('a file is judged by what it stands in the middle of, and others are not blamed', async () => {
  write('home/services/other.yaml', 'id: [');
  const file = write('loose/mine.yaml', service('mine', 'needs: [lama]\n'));
  const { checked, problems } = await validate(file);
  expect(checked).toBe(1);
  expect(problems).toMatchObject([{ file, key: expect.stringMatching(/^needs/) as unknown }]);
  expect(problems[0]?.message).toContain('llama');
});

test('a file may replace a built-in one, and a built-in file is not its own double', async () => {
  expect((await validate(write('loose/llama.yaml', service('llama')))).problems).toEqual([]);
  expect((await validate(join(root, 'built-in/services/llama.yaml'))).problems).toEqual([]);
});

test('a model is told from a service outside a catalogue too', async () => {
  expect(await validate(write('loose/m.yaml', model('c:d')))).toEqual({ checked: 1, problems: [] });
});

test('a file that is not there, and one that is a folder', async () => {
  await expect(validate(join(root, 'none.yaml'))).rejects.toMatchObject({ code: 'NOT_FOUND' });
  await expect(validate(join(root, 'loose'))).rejects.toMatchObject({ code: 'BAD_REQUEST' });
});
