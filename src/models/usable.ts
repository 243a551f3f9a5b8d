import { checkTokenizer } from './gguf-checks.ts';
import { unusable } from './gguf-reader.ts';
import { readGguf } from './gguf.ts';
import type { Gguf } from './gguf.ts';

/** The header of a file that an engine can work with: `readGguf`, with weights and a tokenizer in it. Throws BAD_REQUEST with the field. */
export async function readUsable(path: string, shown = path): Promise<Gguf> {
  const header = await readGguf(path, shown);
  // A vocabulary alone, as converters and test suites have them, is a GGUF file too.
  if (header.tensors.length === 0) unusable(shown, 'the count of tensors', 'it has no weights');
  checkTokenizer(header.metadata, shown);
  return header;
}
