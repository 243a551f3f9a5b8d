/**
 * Server-sent events over `fetch` (the HTML standard, section 9.2). The browser's own EventSource would do less than is
 * needed here: it sends no header, hides the status of a refusal, drops comments, and cannot POST.
 */
export type SseItem =
  | { readonly kind: 'event'; readonly event: string; readonly data: string }
  | { readonly kind: 'comment'; readonly text: string };

export interface SseParser {
  /** The items that are complete with this piece of text. A last event without its empty line is never given out. */
  push(chunk: string): SseItem[];
}

export function createSseParser(): SseParser {
  let rest = '';
  let event = '';
  let data: string[] = [];

  function line(text: string): SseItem | null {
    if (text === '') {
      const item: SseItem | null =
        data.length === 0 ? null : { kind: 'event', event: event || 'message', data: data.join('\n') };
      event = '';
      data = [];
      return item;
    }
    const colon = text.indexOf(':');
    if (colon === 0) return { kind: 'comment', text: text.slice(1).trim() };
    const field = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? '' : text.slice(colon + 1).replace(/^ /, '');
    if (field === 'event') event = value;
    if (field === 'data') data.push(value);
    return null;
  }

  return {
    push(chunk) {
      const whole = rest + chunk;
      // A carriage return at the end may be half of a CRLF whose other half comes with the next piece.
      const end = whole.endsWith('\r') ? whole.length - 1 : whole.length;
      const lines = whole.slice(0, end).split(/\r\n|\n|\r/);
      rest = (lines.pop() ?? '') + whole.slice(end);
      return lines.map(line).filter((item) => item !== null);
    },
  };
}

/** The items of a response body. Leaving the loop early cancels the body, so that the platform sees the client go. */
export async function* readSse(body: ReadableStream<Uint8Array>): AsyncGenerator<SseItem, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  const parser = createSseParser();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield* parser.push(decoder.decode(value, { stream: true }));
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
