import { isPair, Scalar, visit } from 'yaml';
import type { Document } from 'yaml';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Substitution {
  /** What could not be filled in, and where. */
  readonly problems: readonly { readonly offset: number; readonly message: string }[];
  /** Takes filled-in values out of a message again: they may be secrets. */
  mask(message: string): string;
}

const form = /^([A-Za-z_]\w*)(?::-([\s\S]*))?$/;

/**
 * Replaces `${NAME}` and `${NAME:-default}` in every scalar value, keys excepted; `$${` stands for a plain `${`. A value
 * written without quotes that becomes a number, true or false is one, as if it had been written there.
 */
export function substitute(document: Document, environment: Environment): Substitution {
  const problems: { offset: number; message: string }[] = [];
  const filled = new Map<string, string>();
  visit(document, {
    Scalar(position, node, parents) {
      if ((position === 'key' && isPair(parents.at(-1))) || typeof node.value !== 'string') return;
      if (!node.value.includes('${')) return;
      const written = node.value;
      const value = written.replace(/(\$?)\$\{([^}]*)\}?/g, (whole, escape: string, inside: string) => {
        if (escape) return whole.slice(1);
        const [, name, fallback] = whole.endsWith('}') ? (form.exec(inside) ?? []) : [];
        const found = name === undefined ? undefined : (environment[name] ?? fallback);
        if (found === undefined) problems.push({ offset: node.range?.[0] ?? 0, message: complaint(whole, name) });
        return found ?? '';
      });
      filled.set(value, written);
      node.value = node.type === Scalar.PLAIN ? plain(value) : value;
    },
  });
  return {
    problems,
    mask: (message) =>
      [...filled].reduce((text, [value, written]) => text.replaceAll(`"${value}"`, `"${written}"`), message),
  };
}

const complaint = (whole: string, name: string | undefined): string =>
  name === undefined
    ? `${whole} is not a variable. Write \${NAME}, \${NAME:-default}, or $\${ for a plain \${`
    : `the environment variable ${name} is not set. Set it, or write \${${name}:-default}`;

function plain(text: string): string | number | boolean {
  if (/^-?(0|[1-9]\d*)(\.\d+)?$/.test(text)) return Number(text);
  return text === 'true' ? true : text === 'false' ? false : text;
}
