import { StringDecoder } from 'node:string_decoder';
import { Fault } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import type { JsonObject } from '../middlewares/middleware.ts';

/** Turns a stream into another one, piece by piece. */
export interface Converter {
  /** Takes the next bytes, cut anywhere, and returns what they complete. Throws UPSTREAM_FAILED when one piece is too large. */
  push(chunk: Buffer): string;
  /** What was left without its end. */
  end(): string;
}

/** Characters of one event that are held until its end comes. */
export const mostHeld = 2 ** 20;

/** Pieces that end with `boundary`, each converted. Comments between events go on as they came. */
function inPieces(boundary: RegExp, convert: (piece: string) => string): Converter {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  return {
    push(chunk) {
      // What is held has been looked through: only its end may be the beginning of a boundary.
      boundary.lastIndex = Math.max(0, rest.length - 3);
      rest += decoder.write(chunk);
      let out = '';
      let at = 0;
      for (let found = boundary.exec(rest); found; found = boundary.exec(rest)) {
        out += convert(rest.slice(at, found.index)) + found[0];
        at = boundary.lastIndex;
      }
      rest = rest.slice(at);
      if (rest.length > mostHeld)
        throw new Fault('UPSTREAM_FAILED', 'A piece of its answer is too large to be changed.');
      return out;
    },
    end: () => (rest === '' ? '' : convert(rest)),
  };
}

/** Server-sent events whose data is a JSON object. */
export const eventConverter = (change: (object: JsonObject) => void): Converter =>
  inPieces(/(?:\r\n|\n|\r(?!\n|$))(?:\r\n|\n|\r(?!\n|$))/g, (piece) => {
    const lines = piece.split(/\r\n|\n|\r/);
    const data = lines.flatMap((line) => (line.startsWith('data:') ? line.slice(5).replace(/^ /, '') : []));
    const changed = data.length > 0 ? changedText(data.join('\n'), change) : null;
    if (changed === null) return piece;
    const first = lines.findIndex((line) => line.startsWith('data:'));
    return lines
      .flatMap((line, place) => (place === first ? `data: ${changed}` : line.startsWith('data:') ? [] : line))
      .join('\n');
  });

/** One JSON object on each line, as Ollama's API streams. */
export const lineConverter = (change: (object: JsonObject) => void): Converter =>
  inPieces(/\n/g, (line) => changedText(line, change) ?? line);

/** The object that a text stands for, changed; null where it is none. */
export function changedText(text: string, change: (object: JsonObject) => void): string | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return null;
  }
  if (!isRecord(parsed)) return null;
  change(parsed);
  return JSON.stringify(parsed);
}
