import type { ApiCatalog, ApiFileProblem } from '#contracts/api';
import { defineCommand } from './command.ts';
import { painter } from './style.ts';
import { renderTable } from './table.ts';
import type { Column } from './table.ts';

interface Row {
  readonly id: string;
  readonly kind: string;
  readonly category: string;
  readonly origin: string;
  readonly summary: string;
}

const columns: readonly Column<Row>[] = [
  { title: 'ID', value: ({ id }) => id },
  { title: 'KIND', value: ({ kind }) => kind },
  { title: 'CATEGORY', value: ({ category }) => category },
  { title: 'ORIGIN', value: ({ origin }) => origin },
  { title: 'SUMMARY', value: ({ summary }) => summary },
];

/** `file:12:3: key: message`, the form that editors and terminals can jump to. */
export const problemLine = ({ file, line, column, key, message }: ApiFileProblem): string =>
  `${file}:${line}:${column}: ${key === '' ? '' : `${key}: `}${message}\n`;

export const catalogLs = defineCommand({
  arguments: '',
  about: 'Lists every definition, built in or your own, and those that are disabled, with what is wrong with them.',
  options: {},
  examples: ['sutaz catalog ls'],
  async run(_values, _words, context) {
    const client = await context.connect();
    const catalog = await client.readCatalog();
    if (context.json) return context.printJson(catalog);
    const width = context.outTty ? context.columns() : Infinity;
    context.out(renderTable(columns, rowsOf(catalog), { width, paint: painter(context.outTty, context.env) }));
    for (const { kind, id, problems } of catalog.disabled) {
      context.out(
        `\nThe ${kind} ${id} is disabled:\n${problems.map((problem) => `  ${problemLine(problem)}`).join('')}`,
      );
    }
  },
});

const rowsOf = ({ services, models }: ApiCatalog): Row[] => [
  ...services.map(({ id, kind, category, origin, summary }) => ({ id, kind, category, origin, summary })),
  ...models.map(({ id, origin, summary }) => ({ id, kind: 'model', category: '-', origin, summary })),
];

export const catalogShow = defineCommand({
  arguments: 'ID',
  about: 'Prints a definition as its file says it: a good start for one of your own.',
  options: {},
  examples: ['sutaz catalog show chroma > my-chroma.yaml'],
  async run(_values, [id = ''], context) {
    const client = await context.connect();
    const shown = await client.readDefinition(id);
    if (context.json) return context.printJson(shown);
    context.err(`# ${shown.origin}: ${shown.path}\n`);
    context.out(shown.text.endsWith('\n') ? shown.text : `${shown.text}\n`);
  },
});
