import { Fault } from './faults.ts';

/** What a stream of server-sent events is made of. Comments carry the progress of a wake, so they are kept. */
export type SseItem =
  | { readonly kind: 'event'; readonly event: string; readonly data: string }
  | { readonly kind: 'comment'; readonly text: string };

export interface SseParser {
  /** Takes the next bytes, cut anywhere, and returns what they complete. Throws UPSTREAM_FAILED for an event that is too large. */
  push(bytes: Uint8Array): SseItem[];
}

/** Characters of one event at most: a sender that never ends one must not fill the memory. */
const mostHeld = 32 * 2 ** 20;

/**
 * Reads `text/event-stream` (WHATWG HTML, 9.2.6). `id` and `retry` are left out: nothing here resumes a stream. An event
 * that the end of the stream cut off is never given out, as the standard says.
 */
export function createSseParser(): SseParser {
  const decoder = new TextDecoder();
  let rest = '';
  let afterReturn = false;
  let event = '';
  let data: string[] = [];
  let held = 0;
  const line = (text: string): SseItem | null => {
    if (text === '') {
      const item: SseItem = { kind: 'event', event: event || 'message', data: data.join('\n') };
      const complete = data.length > 0;
      event = '';
      data = [];
      held = 0;
      return complete ? item : null;
    }
    const colon = text.indexOf(':');
    if (colon === 0) return { kind: 'comment', text: text.slice(text[1] === ' ' ? 2 : 1) };
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(text[colon + 1] === ' ' ? colon + 2 : colon + 1);
    if (field === 'data') {
      data.push(value);
      held += value.length;
    } else if (field === 'event') event = value;
    return null;
  };
  return {
    push(bytes) {
      let text = decoder.decode(bytes, { stream: true });
      // A CR ended its line when it came; an LF that follows only now belongs to it.
      if (afterReturn && text.startsWith('\n')) text = text.slice(1);
      else if (text === '') return [];
      afterReturn = text.endsWith('\r');
      const lines = (rest + text).split(/\r\n|\n|\r/);
      rest = lines.pop() ?? '';
      const items = lines.map(line).filter((item) => item !== null);
      if (held + rest.length > mostHeld) throw new Fault('UPSTREAM_FAILED', 'An event of the stream is too large.');
      return items;
    },
  };
}
