// Writes docs/openapi.json from the declarations of the control API. Run it (`npm run schema`) after a change of one, or of a
// type that one names; a test fails while the file is behind.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openapiText } from './openapi-document.ts';

writeFileSync(join(import.meta.dirname, '..', 'docs', 'openapi.json'), openapiText());
console.log('docs/openapi.json');
