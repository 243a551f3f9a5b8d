import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument, visit } from 'yaml';
import type { Document, Node } from 'yaml';
import type { z } from 'zod';
import { didYouMean } from '#kernel/nearest';

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
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

type Path = readonly PropertyKey[];

/** Parses YAML against a strict schema; every problem comes with its place and, for a misspelt name, the nearest right one. */
export function parseStrict<S extends z.ZodType>(
  text: string,
  file: string,
  schema: S,
  options: StrictOptions = {},
): Parsed<z.output<S>> {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const problem = (offset: number, key: string, message: string): Problem => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: Math.max(1, col), key, message };
  };
  if (document.errors.length > 0) {
    return { ok: false, problems: document.errors.map((e) => problem(e.pos[0], '', `not valid YAML: ${e.message}`)) };
  }
  const unset = options.environment ? substitute(document, options.environment) : [];
  if (unset.length > 0) {
    return { ok: false, problems: unset.map((u) => problem(u.offset, '', `the environment variable ${u.name} is not set`)) };
  }
  const result = schema.safeParse(document.toJS());
  if (result.success) return { ok: true, value: result.data };
  const problems = result.error.issues
    .flatMap((issue) => explain(issue, []))
    .map(({ path, message, key }) => problem(offsetOf(document, path, key), formatPath(path, key), message));
  return { ok: false, problems };
}

interface Explained {
  readonly path: Path;
  /** Set when the problem is a key that should not be there, rather than a value. */
  readonly key?: string;
  readonly message: string;
}

type Issue = z.core.$ZodIssue;

function explain(issue: Issue, prefix: Path): Explained[] {
  const path = [...prefix, ...issue.path];
  switch (issue.code) {
    case 'unrecognized_keys': {
      const known = knownKeys(issue);
      return issue.keys.map((key) => ({ path, key, message: `unknown key.${didYouMean(key, known)}${listOf(known)}` }));
    }
    case 'invalid_value': {
      const values = issue.values.map(String);
      const given = typeof issue.input === 'string' ? issue.input : '';
      return [{ path, message: `must be one of ${values.join(', ')}.${given ? didYouMean(given, values) : ''}` }];
    }
    case 'invalid_union': {
      // The branch that got furthest is the one that was meant.
      const branches = issue.errors.map((errors) => errors.flatMap((error) => explain(error, path)));
      const meant = branches.sort((a, b) => depth(b) - depth(a) || a.length - b.length)[0];
      return meant && meant.length > 0 && depth(meant) > path.length ? meant : [{ path, message: issue.message }];
    }
    default:
      return [{ path, message: issue.message }];
  }
}

const depth = (branch: readonly Explained[]): number =>
  Math.max(0, ...branch.map(({ path, key }) => path.length + (key === undefined ? 0 : 1)));

/** Strict objects carry their keys in `params.known` (see `strict()`), since zod's issue does not name them. */
function knownKeys(issue: Issue): readonly string[] {
  const inst = 'inst' in issue ? (issue.inst as { shape?: Record<string, unknown> } | undefined) : undefined;
  return inst?.shape ? Object.keys(inst.shape) : [];
}

const listOf = (known: readonly string[]): string => (known.length > 0 ? ` Known here: ${known.join(', ')}.` : '');

const formatPath = (path: Path, key?: string): string =>
  [...path, ...(key === undefined ? [] : [key])]
    .map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`))
    .join('')
    .replace(/^\./, '');

/** The offset of the node at a path, or of the nearest node above it; of the key itself when `key` is given. */
function offsetOf(document: Document, path: Path, key?: string): number {
  let node: unknown = document.contents;
  let offset = rangeOf(node) ?? 0;
  for (const part of key === undefined ? path : [...path, key]) {
    const last = key !== undefined && part === key;
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(part));
      if (!pair) return offset;
      offset = rangeOf(pair.key) ?? offset;
      node = pair.value;
      if (!last) offset = rangeOf(node) ?? offset;
    } else if (isSeq(node)) {
      node = node.items[Number(part)];
      offset = rangeOf(node) ?? offset;
    } else return offset;
  }
  return offset;
}

const rangeOf = (node: unknown): number | undefined => (node as Node | null | undefined)?.range?.[0];

/** Replaces `${NAME}` and `${NAME:-default}` in every scalar value, keys excepted. Returns the names that are not set. */
function substitute(document: Document, environment: Readonly<Record<string, string | undefined>>) {
  const unset: { name: string; offset: number }[] = [];
  visit(document, {
    Scalar(position, node, parents) {
      const parent = parents.at(-1);
      if ((position === 'key' && isPair(parent)) || typeof node.value !== 'string') return;
      node.value = node.value.replace(/\$\{([A-Za-z_]\w*)(?::-([^}]*))?\}/g, (_, name: string, fallback?: string) => {
        const value = environment[name] ?? fallback;
        if (value === undefined) unset.push({ name, offset: node.range?.[0] ?? 0 });
        return value ?? '';
      });
    },
  });
  return unset;
}
