import { isAlias, isMap, isScalar, isSeq } from 'yaml';
import type { Document, Node } from 'yaml';
import type { Path } from './walk.ts';

/** `run.process.command[1]`. A name that would be misread (`a.b`, `smollm2:135m`) stands in quotes. */
export const formatPath = (path: Path): string =>
  path
    .map((part) => {
      if (typeof part === 'number') return `[${part}]`;
      return /^[\w-]+$/.test(String(part)) ? `.${String(part)}` : `.${JSON.stringify(String(part))}`;
    })
    .join('')
    .replace(/^\./, '');

/**
 * The offset of what stands at a path: the value, or with `key` the name itself. For a path that is not there, of the
 * name of the nearest thing above it, which is where the missing thing belongs.
 */
export function offsetAt(document: Document, path: Path, at: 'value' | 'key' | 'missing'): number {
  let node: unknown = document.contents;
  let offset = startOf(node) ?? 0;
  for (const [i, part] of path.entries()) {
    const last = i === path.length - 1;
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === String(part));
      if (!pair) return offset;
      offset = startOf(pair.key) ?? offset;
      node = pair.value;
      if (last && at === 'value') offset = startOf(node) ?? offset;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      offset = startOf(node) ?? offset;
    } else return offset;
  }
  return offset;
}

/** Null where nothing is written: `memory:` alone has a value of no length at the end of its line. */
function startOf(node: unknown): number | undefined {
  const range = (node as Node | null | undefined)?.range;
  return range && range[0] < range[1] ? range[0] : undefined;
}
