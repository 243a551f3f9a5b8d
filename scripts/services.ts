// Writes the table of services into README.md, from their definitions and catalog/verified.json (part of `npm run schema`). A test
// fails while it is behind.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { builtInCatalog } from '../test/_prepared.ts';
import { readVerified } from './fleet/record.ts';
import { renderServices, withServices } from './fleet/table.ts';

const file = join(import.meta.dirname, '..', 'README.md');
const definitions = [...(await builtInCatalog()).services.values()].map(({ definition }) => definition);
await writeFile(file, withServices(await readFile(file, 'utf8'), renderServices(definitions, await readVerified())));
console.log('README.md');
