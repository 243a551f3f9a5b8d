import { fit } from './style.ts';
import type { Colour, Paint } from './style.ts';

export interface Column<Row> {
  readonly title: string;
  readonly align?: 'right';
  value(row: Row): string;
  colour?(row: Row): Colour | undefined;
}

export interface TableOptions {
  /** Characters a line may have. */
  readonly width: number;
  readonly paint: Paint;
}

/**
 * Rows under their titles, columns two spaces apart. The last column gets what is left of `width`; columns are padded
 * before they are coloured, since escape sequences take no room.
 */
export function renderTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  { width, paint }: TableOptions,
): string {
  const cells = rows.map((row) => columns.map((column) => fit(column.value(row), Infinity)));
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((row) => row[i]?.length ?? 0)));
  const before = widths.slice(0, -1).reduce((sum, each) => sum + each + 2, 0);
  const lay = (texts: readonly string[], colours: readonly (Colour | undefined)[]) =>
    texts
      .map((text, i) => {
        const last = i === texts.length - 1;
        const room = widths[i] ?? 0;
        // Room for a few words at least: a narrow terminal wraps, rather than losing the sentence.
        const laid = last ? fit(text, Math.max(20, width - before)) : pad(text, room, columns[i]?.align);
        const colour = colours[i];
        return colour === undefined ? laid : paint(colour, laid);
      })
      .join('  ')
      .trimEnd();
  const head = lay(
    columns.map(({ title }) => title),
    columns.map(() => 'bold' as const),
  );
  return [
    head,
    ...cells.map((texts, r) =>
      lay(
        texts,
        columns.map((column) => column.colour?.(rows[r] as Row)),
      ),
    ),
  ]
    .map((line) => `${line}\n`)
    .join('');
}

const pad = (text: string, width: number, align?: 'right'): string =>
  align === 'right' ? text.padStart(width) : text.padEnd(width);
