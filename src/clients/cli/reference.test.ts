import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commands } from './commands.ts';
import { renderReference, withReference } from './reference.ts';

test('docs/cli.md says what the commands say (node --conditions=source scripts/cli-docs.ts writes it)', async () => {
  const document = readFileSync(join(import.meta.dirname, '../../../docs/cli.md'), 'utf8');
  expect(document).toBe(withReference(document, await renderReference(commands)));
});

test('a document without its marks is left alone', () => expect(withReference('no marks', 'x')).toBeNull());
