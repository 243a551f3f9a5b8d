import { checkTokenizer } from './gguf-checks.ts';
import { readGguf } from './gguf.ts';
import type { Gguf } from './gguf.ts';

/** The header of a file that an engine can work with: `readGguf`, and a tokenizer in it. Throws BAD_REQUEST with the field. */
export async function readUsable(path: string, shown = path): Promise<Gguf> {
  const header = await readGguf(path, shown);
  checkTokenizer(header.metadata, shown);
  return header;
}
