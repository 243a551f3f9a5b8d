import { LineCounter, parseDocument } from 'yaml';
import type { Document } from 'yaml';
import type { z } from 'zod';
import { explain } from './explain.ts';
import { formatPath, offsetAt } from './place.ts';
import { substitute } from './substitute.ts';
import type { Environment } from './substitute.ts';
import type { Path } from './walk.ts';

/** What is wrong with a file a person wrote, and where. `line` and `column` count from 1. */
export interface Problem {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** The key's path, `run.process.command[1]`; empty for the file as a whole. */
  readonly key: string;
  readonly message: string;
}

export type Parsed<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly problems: Problem[] };

/** `sutaz.yaml:12:3: resources.memory: ...`, the form that editors and terminals can jump to. */
export const formatProblem = (problem: Problem): string =>
  `${problem.file}:${problem.line}:${problem.column}: ${problem.key ? `${problem.key}: ` : ''}${problem.message}`;

export interface StrictOptions {
  /** Values for `${NAME}` in scalars. Without it they are left as they stand. */
  readonly environment?: Environment;
  /** A key with nothing behind it counts as left out: where every key has a default, that is what was meant. */
  readonly emptyIsAbsent?: boolean;
}

interface Opened {
  readonly document: Document;
  at(offset: number, path: Path, message: string): Problem;
}

function open(text: string, file: string): Opened {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  return {
    document,
    at(offset, path, message) {
      const { line, col } = lines.linePos(offset);
      return { file, line: Math.max(1, line), column: Math.max(1, col), key: formatPath(path), message };
    },
  };
}

/** Parses YAML against a strict schema; every problem comes with its place and, for a misspelt name, the nearest right one. */
export function parseStrict<S extends z.ZodType>(
  text: string,
  file: string,
  schema: S,
  options: StrictOptions = {},
): Parsed<z.output<S>> {
  const { document, at } = open(text, file);
  // A warning is a tag nobody knows (`!secret x`): its value would silently be something else.
  const faulty = [...document.errors, ...document.warnings];
  if (faulty.length > 0) {
    return { ok: false, problems: faulty.map((e) => at(e.pos[0], [], `not valid YAML: ${e.message}`)) };
  }
  const filled = options.environment && substitute(document, options.environment);
  if (filled && filled.problems.length > 0) {
    return { ok: false, problems: filled.problems.map(({ offset, message }) => at(offset, [], message)) };
  }
  const plain = toPlain(document);
  if (!plain.ok) return { ok: false, problems: [at(0, [], plain.message)] };
  const value = options.emptyIsAbsent ? withoutEmpty(plain.value) : plain.value;
  const result = schema.safeParse(value);
  if (result.success) return { ok: true, value: result.data };
  const problems = explain(result.error.issues, schema, value).map((found) =>
    at(offsetAt(document, found.path, found.at), found.path, filled?.mask(found.message) ?? found.message),
  );
  return { ok: false, problems: problems.sort((a, b) => a.line - b.line || a.column - b.column) };
}

/** An alias without its anchor, or aliases of aliases that would grow without end, only show here. */
function toPlain(
  document: Document,
): { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly message: string } {
  try {
    const value: unknown = document.toJS();
    return value === null ? { ok: false, message: 'the file is empty' } : { ok: true, value };
  } catch (error) {
    return { ok: false, message: `not valid YAML: ${error instanceof Error ? error.message : String(error)}` };
  }
}

function withoutEmpty(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const entries = Object.entries(value).filter(([, entry]) => entry !== null);
  return Object.fromEntries(entries.map(([key, entry]) => [key, withoutEmpty(entry)]));
}

/** A problem that the schema cannot see (a name that nothing has), at the place of its path in the text. */
export function problemAt(text: string, file: string, path: Path, message: string): Problem {
  const { document, at } = open(text, file);
  return at(offsetAt(document, path, 'value'), path, message);
}
