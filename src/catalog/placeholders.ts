import type { Path } from '#config/walk';
import type { ApiViewKind } from '#contracts/store-api';
import { didYouMean } from '#kernel/nearest';
import type { ServiceDefinition } from './service.ts';

/** `{name}` in a command or an environment; other braces (JSON, say) stay as they are. */
export const placeholder = /\{([a-z][\w.-]*)\}/gi;

/** In the order in which they help a person: what every service has, then what engines and jobs have. */
const common = ['host', 'port', 'data', 'home', 'service', 'env', 'key', 'replica'];
const engine = [
  'model.path',
  'model.id',
  'model.context',
  'model.slots',
  'model.tokens',
  'model.url',
  'model.remote',
  'model.keyFile',
  'model.gpuLayers',
  'threads',
];
const views: readonly ApiViewKind[] = ['ollama', 'huggingface', 'folder'];
const job = ['args', 'folder', 'model'];
/** What an account of one consumer is made of, where its provider's instance runs. */
const granting = ['host', 'port', 'data', 'service', 'account'];
/** Of a grant too. In variables only: who may list processes sees their arguments. */
const secrets = ['secret', 'account.secret'];

/** Everything that `{...}` may name in a definition. `wired` is what there is of the capabilities: `openai.url`. */
export const placeholdersOf = ({ kind }: Pick<ServiceDefinition, 'kind'>, wired: Iterable<string>): string[] => [
  ...common,
  'secret',
  ...(kind === 'engine' ? [...engine, ...views.map((view) => `view.${view}`)] : []),
  ...(kind === 'job' ? job : []),
  ...wired,
];

interface Template {
  readonly path: Path;
  readonly text: string;
}

/** Every text of a definition in which placeholders are filled in, with its place. */
function* templates({ run, consumes, verify }: ServiceDefinition): Generator<Template> {
  for (const way of ['process', 'docker'] as const) {
    yield* numbered(['run', way, 'command'], run[way]?.command ?? []);
    yield* named(['run', way, 'env'], run[way]?.env ?? {});
  }
  for (const text of Object.keys(run.docker?.volumes ?? {})) yield { path: ['run', 'docker', 'volumes', text], text };
  for (const [name, variables] of Object.entries(consumes)) yield* named(['consumes', name], variables);
  if (verify && 'path' in verify) yield { path: ['verify', 'path'], text: verify.path };
  if (verify && 'path' in verify) yield* named(['verify', 'headers'], verify.headers ?? {});
  if (verify && 'command' in verify) yield* numbered(['verify', 'command'], verify.command);
  if (verify && 'command' in verify) yield* named(['verify', 'env'], verify.env ?? {});
}

const numbered = (path: Path, texts: readonly string[]): Template[] =>
  texts.map((text, i) => ({ path: [...path, i], text }));

const named = (path: Path, texts: Readonly<Record<string, string>>): Template[] =>
  Object.entries(texts).map(([name, text]) => ({ path: [...path, name], text }));

/** Whether its process is told where to listen, as far as its definition shows. */
export const takesPort = (definition: ServiceDefinition): boolean =>
  [...templates(definition)].some(
    ({ path, text }) => path[1] !== 'docker' && path[0] !== 'verify' && text.includes('{port}'),
  );

/** The views of the store that its process is told of. */
export const viewsOf = (definition: ServiceDefinition): ApiViewKind[] =>
  views.filter((view) => [...templates(definition)].some(({ text }) => text.includes(`{view.${view}}`)));

/** The texts by which it makes accounts of its consumers. */
function* grantTemplates({ grants = {} }: ServiceDefinition): Generator<Template> {
  for (const [name, { command, env, values }] of Object.entries(grants)) {
    yield* numbered(['grants', name, 'command'], command ?? []);
    yield* named(['grants', name, 'env'], env);
    yield* named(['grants', name, 'values'], values);
  }
}

const isArgument = (path: Path): boolean => path.includes('command');

/** The placeholders of a definition that nothing will fill in. A start would fail on them: better to say so now. */
export function* strangePlaceholders(
  definition: ServiceDefinition,
  wired: Iterable<string>,
): Generator<{ readonly path: Path; readonly message: string }> {
  const known = placeholdersOf(definition, wired);
  const listed = placeholdersOf(definition, ['<capability>.url']).join(', ');
  yield* strange(templates(definition), known, listed);
  const granted = [...granting, ...secrets];
  yield* strange(grantTemplates(definition), granted, [...granted, 'made.<word>'].join(', '));
}

function* strange(
  texts: Iterable<Template>,
  known: readonly string[],
  listed: string,
): Generator<{ readonly path: Path; readonly message: string }> {
  for (const { path, text } of texts) {
    for (const [whole, name = ''] of text.matchAll(placeholder)) {
      if (secrets.includes(name) && known.includes(name) && isArgument(path)) {
        yield { path, message: `${whole} would be seen in the list of processes: hand it over as a variable` };
      } else if (!known.includes(name) && !(path[0] === 'grants' && name.startsWith('made.'))) {
        yield { path, message: `${whole} is nothing.${didYouMean(name, known)} Known here: ${listed}.` };
      } else if (name === 'args' && text !== whole) {
        yield { path, message: 'the arguments come where {args} stands alone: it cannot be part of a text' };
      }
    }
  }
}
