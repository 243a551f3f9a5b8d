import { stripVTControlCharacters } from 'node:util';

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;
export type Colour = keyof typeof codes;
export type Paint = (colour: Colour, text: string) => string;

/** Colours for a terminal; none elsewhere, or where NO_COLOR (no-color.org) is set to anything. */
export function painter(tty: boolean, env: Readonly<Record<string, string | undefined>>): Paint {
  const on = tty && !env.NO_COLOR && env.TERM !== 'dumb';
  return (colour, text) => (on && text !== '' ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text);
}

/** Without control characters: what comes from a model or a service must not move the cursor or rename the window. */
export const printable = (text: string): string => text.replace(/[^\P{Cc}\n\t]/gu, '');

/** The same, with its colours left: what a service logs must not do more to a terminal. */
export function colouredOnly(text: string): string {
  const parts = text.split(/(\x1b\[[\d;:]*m)/);
  const shown = parts.map((part, i) => (i % 2 === 1 ? part : printable(stripVTControlCharacters(part)))).join('');
  return parts.length > 1 ? `${shown}\x1b[0m` : shown;
}

/** On one line of at most `width` characters. */
export function fit(text: string, width: number): string {
  const line = printable(text).replace(/\s+/g, ' ').trim();
  return line.length <= width ? line : `${line.slice(0, Math.max(0, width - 1))}…`;
}
