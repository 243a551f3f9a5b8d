// Writes the table of services into README.md, from their definitions, catalog/verified.json and catalog/together.json (part of
// `npm run schema`). A test fails while it is behind.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { builtInCatalog } from '../test/_prepared.ts';
import { readVerified } from './fleet/record.ts';
import { renderServices, withServices } from './fleet/table.ts';
import { readTogether, renderTogether } from './fleet/together-record.ts';

const file = join(import.meta.dirname, '..', 'README.md');
const definitions = [...(await builtInCatalog()).services.values()].map(({ definition }) => definition);
const parts = [renderServices(definitions, await readVerified()), renderTogether(await readTogether())];
await writeFile(file, withServices(await readFile(file, 'utf8'), parts));
console.log('README.md');
