/** A definition as `sutaz add` writes it: what is known of its source, and what the user said. */
import { stringify } from 'yaml';
import { usageError } from './failure.ts';

export type Source =
  | { readonly kind: 'node' | 'python'; readonly package: string }
  | { readonly kind: 'image'; readonly image: string }
  | { readonly kind: 'compose'; readonly file: string };

/** A way to run it in a container, as the catalogue writes it. */
export interface Container {
  readonly image: string;
  readonly port?: number;
  readonly volumes?: Readonly<Record<string, string>>;
  readonly command?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

export interface Draft {
  readonly id: string;
  readonly name: string;
  readonly summary: string;
  readonly category: string;
  readonly run: Readonly<Record<string, unknown>>;
  /** A path that answers once it is up; null for an open port. */
  readonly health: string | null;
  readonly memory: string;
}

/** What an argument names: `npm:node-red@5`, `pypi:chromadb==1.5.9`, a compose file, or else an image. */
export function readSource(text: string): Source {
  const [, registry, name = ''] = /^(npm|pypi):(.*)$/.exec(text) ?? [];
  if (registry !== undefined) {
    if (!/^[@\w][\w./@=<>~!,[\]+-]*$/.test(name))
      throw usageError(`"${text}" names no package, as npm:node-red@5.0.7 does.`);
    return { kind: registry === 'npm' ? 'node' : 'python', package: name };
  }
  if (/\.ya?ml$/.test(text)) return { kind: 'compose', file: text };
  if (!/^[a-z0-9][\w./:@-]*$/.test(text)) {
    throw usageError(
      `"${text}" is no source: give npm:PACKAGE, pypi:PACKAGE, an image such as chromadb/chroma:1.5.9, or compose.yaml.`,
    );
  }
  return { kind: 'image', image: text };
}

/** An id made of the last part of a package's or an image's name, without its release. */
export function idOf(name: string): string {
  const last =
    name
      .replace(/(?<=.)@[^/]*$/, '')
      .split('/')
      .at(-1) ?? '';
  const bare = last.replace(/[:=<>~![].*$/, '').toLowerCase();
  return bare.replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '');
}

/** A command as a shell would split it: by spaces, quotes taken off. Nothing else of a shell's is understood. */
export function splitCommand(text: string): string[] {
  const words = [...text.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)];
  return words.map(([, double, single, bare]) => double ?? single ?? bare ?? '');
}

export const packaged = (kind: 'node' | 'python', name: string, command: readonly string[]): Draft['run'] => ({
  process: { [kind]: { packages: [name] }, command },
});

export function renderDraft(draft: Draft, source: string, date: string): string {
  const { id, name, summary, category, run, health, memory } = draft;
  const body = {
    ...{ id, name, summary, category, run },
    health: health === null ? { tcp: true } : { http: health },
    resources: { memory },
  };
  return `# Written on ${date} by \`sutaz add\`, from ${source}.\n${stringify(body, { lineWidth: 120 })}`;
}
