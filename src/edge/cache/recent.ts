import { parseObject } from '../exchange.ts';

/** Bodies that are remembered, and bytes of the largest one: a quarter of a megabyte in all. */
const most = 64;
const largestBytes = 4_096;

/**
 * What small bodies say, remembered by their very bytes: where many ask the same, reading it again costs more than finding
 * the answer. The same bytes are the same object, so that nobody may change it.
 */
export function createRecent(): (body: Buffer) => Readonly<Record<string, unknown>> {
  const known = new Map<string, Readonly<Record<string, unknown>>>();
  return (body) => {
    if (body.byteLength > largestBytes) return parseObject(body);
    // Byte by byte: as UTF-8 two bodies that are none could read the same.
    const bytes = body.toString('latin1');
    let said = known.get(bytes);
    if (!said) {
      said = parseObject(body);
      const [oldest] = known.size < most ? [] : known.keys();
      if (oldest !== undefined) known.delete(oldest);
      known.set(bytes, said);
    }
    return said;
  };
}
