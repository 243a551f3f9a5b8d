import type { ServiceDefinition } from '#catalog/service';
import { formatBytes } from '#kernel/quantities';
import type { Verification } from './record.ts';

/** What stands around the generated part of README.md. */
const marks = { begin: '<!-- services: begin -->', end: '<!-- services: end -->' } as const;

/** The part of the README that follows from the definitions and from what the fleet found of them. */
export function renderServices(
  definitions: readonly ServiceDefinition[],
  verifications: readonly Verification[],
): string {
  const found = new Map(verifications.map((one) => [one.id, one]));
  const sorted = [...definitions].sort((a, b) => (a.name.toLowerCase() < b.name.toLowerCase() ? -1 : 1));
  const [verified, others] = apart(sorted, ({ id }) => found.get(id)?.outcome === 'verified');
  const [cards, defined] = apart(others, ({ resources }) => resources.gpu === 'required');
  return [
    table(
      `Verified: ${verified.length}`,
      ['what', 'release', 'start', 'memory', 'asleep, awake in'],
      verified.map((one) => [nameOf(one), one.category, ...figuresOf(found.get(one.id))]),
    ),
    ...(defined.length > 0
      ? [
          table(
            `Defined only: ${defined.length}`,
            ['what', 'why'],
            defined.map((one) => [nameOf(one), one.category, whyNot(found.get(one.id))]),
          ),
        ]
      : []),
    ...(cards.length > 0
      ? [
          table(
            `Needs a graphics card: ${cards.length}`,
            ['what'],
            cards.map((one) => [nameOf(one), one.category]),
          ),
        ]
      : []),
  ].join('\n');
}

function apart<T>(all: readonly T[], test: (one: T) => boolean): readonly [T[], T[]] {
  return [all.filter(test), all.filter((one) => !test(one))];
}

const nameOf = ({ name, homepage }: ServiceDefinition): string => (homepage ? `[${name}](${homepage})` : name);

function figuresOf(found: Verification | undefined): string[] {
  if (found?.outcome !== 'verified') return ['', '', '', ''];
  const { version, startSeconds, pssBytes, sleep } = found;
  return [
    version ?? '',
    startSeconds === null ? '' : `${startSeconds} s`,
    pssBytes === null ? '' : formatBytes(pssBytes),
    sleep ? `${sleep.rung}, ${sleep.wakeSeconds} s` : '',
  ];
}

function whyNot(found: Verification | undefined): string {
  if (found === undefined) return 'not tried yet';
  if (found.outcome === 'not-here') return found.why;
  const [line = ''] = found.outcome === 'failed' ? found.error.split('\n') : [];
  return `failed: ${line.length > 160 ? `${line.slice(0, 160)} ...` : line}`;
}

const cell = (text: string): string => text.replace(/\s+/g, ' ').replaceAll('|', '\\|');

function table(title: string, columns: readonly string[], rows: readonly (readonly string[])[]): string {
  const head = [`| ${title} | ${columns.join(' | ')} |`, `|---${'|---'.repeat(columns.length)}|`];
  return `${[...head, ...rows.map((row) => `| ${row.map(cell).join(' | ')} |`)].join('\n')}\n`;
}

/** The document with its generated part replaced. */
export function withServices(document: string, parts: readonly string[]): string {
  const begin = document.indexOf(marks.begin);
  const end = document.indexOf(marks.end);
  if (begin < 0 || end < begin) throw new Error('README.md has lost the marks around its services.');
  return `${document.slice(0, begin + marks.begin.length)}\n\n${parts.filter(Boolean).join('\n')}\n${document.slice(end)}`;
}
