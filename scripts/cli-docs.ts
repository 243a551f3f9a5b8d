/** `node --conditions=source scripts/cli-docs.ts`: writes the commands into docs/cli.md. A test keeps it from being forgotten. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commands } from '#clients/cli/commands';
import { renderReference, withReference } from '#clients/cli/reference';

const file = join(import.meta.dirname, '..', 'docs', 'cli.md');
const written = withReference(readFileSync(file, 'utf8'), await renderReference(commands));
if (written === null) throw new Error(`${file} has lost the marks around its commands.`);
writeFileSync(file, written);
