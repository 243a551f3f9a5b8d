import type { ModelSource } from '#contracts/models';
import type { Gguf } from '../gguf.ts';
import type { Imported } from './import.ts';

/** The context an imported model gets: what the built-in ones have, as far as it was made for that. */
const usualContext = 4096;
const leastContext = 256;

/** A definition for an imported model, as a file of the catalogue. `place` says where it was found. */
export function definitionText({ model, found }: Imported, header: Gguf, place: string): string {
  const { sha256, bytes, name } = model;
  const context = Math.max(leastContext, Math.min(usualContext, header.contextLength || usualContext));
  const facts = [header.architecture, header.quantization].filter(Boolean).join(', ');
  const sources: readonly ModelSource[] = [{ kind: 'file', path: found.path, sha256 }, ...found.origins];
  return [
    '# Written by `sutaz models import`. It is yours: change what you like. The name stays yours, too, while this file is here.',
    `id: ${quoted(name)}`,
    `name: ${quoted(oneLine(header.name) || name)}`,
    `summary: ${quoted(`Imported from ${place}: ${oneLine(found.title)} (${facts})`)}`,
    // A model that only makes vectors has no answers to give.
    ...(header.pooling ? ['kinds: [embedding]'] : []),
    `context: ${context}`,
    `size: ${bytes}`,
    'sources:',
    ...sources.map(sourceLine),
    '',
  ].join('\n');
}

const sourceLine = ({ kind, ...rest }: ModelSource): string => `  - ${kind}: ${JSON.stringify(rest)}`;

/** JSON is YAML: a text of a file's header cannot break out of it. */
const quoted = (text: string): string => JSON.stringify(text);

const oneLine = (text: string | undefined): string =>
  (text ?? '')
    .replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ')
    .trim()
    .slice(0, 200);
