/** Names in lower case and values in turn: `['content-type', 'text/plain', 'set-cookie', 'a=1', 'set-cookie', 'b=2']`. */
export type HeaderList = readonly string[];

/** The first value of that name, which is given in lower case. */
export function headerOf(headers: HeaderList, name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i] === name) return headers[i + 1];
  return undefined;
}

/** As Node has them: by name, several of one name in a list. */
export function byName(headers: HeaderList): Record<string, string | string[]> {
  const result: Record<string, string | string[]> = {};
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string;
    const value = headers[i + 1] as string;
    const before = result[name];
    result[name] = before === undefined ? value : [...[before].flat(), value];
  }
  return result;
}

/** What came is no HTTP/1.1, or none that may be trusted. */
export class Malformed extends Error {}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
/** RFC 9110, section 5.5: visible characters, space, tab and obs-text, each one byte. */
export const isFieldValue = (text: string): boolean => !/[^\t\x20-\x7e\x80-\xff]/.test(text);
export const isFieldName = (text: string): boolean => token.test(text);
/** Whether these are lines of names and values, each as above: one look at all of them costs a third of one at each. */
export const areFields = (lines: string): boolean =>
  /^(?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [\t\x20-\x7e\x80-\xff]*\r\n)*$/.test(lines);

/**
 * Names that were seen to be right, as they were written, with their lower case. The same few come with every answer; a
 * server that makes up new ones is looked at each time.
 */
const known = new Map<string, string>();
const mostKnown = 1_000;

function nameOf(written: string): string {
  const before = known.get(written);
  if (before !== undefined) return before;
  // A blank before the colon, or a line that goes on with the one before it (obs-fold), is read differently by different readers.
  if (!isFieldName(written)) throw new Malformed(`a header is called ${JSON.stringify(written.slice(0, 40))}`);
  const name = written.toLowerCase();
  if (known.size < mostKnown) known.set(written, name);
  return name;
}

/** Only blanks and tabs: what else JavaScript takes for white space is a part of the value. */
function trimmed(text: string, from: number): string {
  let to = text.length;
  while (from < to && isBlank(text.charCodeAt(from))) from++;
  while (to > from && isBlank(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}

const isBlank = (code: number): boolean => code === 0x20 || code === 0x09;

/** Reads lines of headers from `at` on, each ended by CRLF or the end of the text. Throws Malformed. */
export function readFields(text: string, at: number, each: (name: string, value: string) => void): void {
  while (at < text.length) {
    const end = text.indexOf('\r\n', at);
    const line = end < 0 ? text.slice(at) : text.slice(at, end);
    const colon = line.indexOf(':');
    const name = nameOf(colon < 0 ? line : line.slice(0, colon));
    if (colon < 0) throw new Malformed(`the header ${name} has no colon`);
    const value = trimmed(line, colon + 1);
    if (!isFieldValue(value)) throw new Malformed(`the header ${name} has a character that none may have`);
    each(name, value);
    at = end < 0 ? text.length : end + 2;
  }
}
