import { StringDecoder } from 'node:string_decoder';

export interface SseParser {
  /** The data of every event that is whole now. Comments and names of events are passed over. */
  push(chunk: Uint8Array): string[];
}

/** Bytes of one event at most: an upstream that never ends one must not fill the memory. */
const mostHeld = 32 * 2 ** 20;

/** Reads server-sent events (WHATWG HTML, section 9.2) from pieces that may end anywhere, in the middle of a character too. */
export function createSseParser(): SseParser {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  let data: string[] = [];
  const take = (line: string, whole: string[]): void => {
    if (line === '') {
      if (data.length > 0) whole.push(data.join('\n'));
      data = [];
    } else if (line.startsWith('data:')) data.push(line.slice(line.startsWith('data: ') ? 6 : 5));
  };
  return {
    push(chunk) {
      rest += decoder.write(chunk);
      const whole: string[] = [];
      // A carriage return at the end may be the first half of a line's end.
      const end = rest.endsWith('\r') ? rest.length - 1 : rest.length;
      const lines = rest.slice(0, end).split(/\r\n|\n|\r/);
      rest = (lines.pop() ?? '') + rest.slice(end);
      if (rest.length > mostHeld) throw new RangeError('an event is too large');
      for (const line of lines) take(line, whole);
      return whole;
    },
  };
}
