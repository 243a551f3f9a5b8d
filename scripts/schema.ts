// Writes catalog/schema/*.json from the code. Run it (`npm run schema`) after a change of a definition's or the
// configuration's form; a test fails while the files are behind.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { jsonSchemas } from '#catalog/schema';

const folder = join(import.meta.dirname, '..', 'catalog', 'schema');
await mkdir(folder, { recursive: true });
for (const [name, text] of Object.entries(jsonSchemas())) {
  await writeFile(join(folder, name), text);
  console.log(`catalog/schema/${name}`);
}
