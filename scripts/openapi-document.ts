/** The description of the control API in OpenAPI 3.1, made of its declarations and of the types they name. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createGenerator } from 'ts-json-schema-generator';
import { controlBase, faultsOf, operations } from '#contracts/operations';
import type { Operation, QueryParameter, WireName } from '#contracts/operations';
import { examples } from '#contracts/operations/examples';
import { segmentsOf, topics } from '#contracts/operations/operation';
import { faults } from '#kernel/faults';
import type { FaultCode } from '#kernel/faults';

type Schema = Readonly<Record<string, unknown>>;
const root = join(import.meta.dirname, '..');

export function openapiDocument(): Schema {
  const { version, license } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as Package;
  return {
    openapi: '3.1.0',
    info: {
      title: 'SutazAI control API',
      version,
      description: about,
      license: { name: license, identifier: license },
    },
    servers: [{ url: '/', description: 'The door that this description comes from' }],
    tags: Object.entries(topics).map(([name, description]) => ({ name, description })),
    paths: paths(),
    components: { schemas: schemas(), responses: responses(), securitySchemes },
    security,
  };
}

export const openapiText = (): string => `${JSON.stringify(openapiDocument(), null, 2)}\n`;

interface Package {
  readonly version: string;
  readonly license: string;
}

const about = `What the platform tells of itself and what it can be told to do. Sizes are bytes, durations milliseconds, times ISO 8601.

A key (\`sutaz key\`) goes into \`Authorization: Bearer\` or \`X-Sutaz-Key\`; the console's session does as well, on pages of the door itself.
Errors are problems as RFC 9457 has them, with a \`code\` of one table. The models' own APIs under \`/v1\` and \`/api\` are those of
OpenAI, Anthropic, Ollama, Cohere and Jina, and are described there.`;

const security = [{ bearer: [] }, { header: [] }, { session: [] }];
const securitySchemes = {
  bearer: { type: 'http', scheme: 'bearer' },
  header: { type: 'apiKey', in: 'header', name: 'X-Sutaz-Key' },
  session: { type: 'apiKey', in: 'cookie', name: 'sutaz_session' },
};

function paths(): Schema {
  const byPath: Record<string, Record<string, unknown>> = {};
  for (const [id, operation] of Object.entries<Operation>(operations)) {
    const own = (byPath[controlBase + operation.path] ??= {});
    own[operation.method.toLowerCase()] = describe(id, operation);
  }
  return byPath;
}

function describe(operationId: string, operation: Operation): Schema {
  const { topic, summary, detail, scope, query = {}, body, example } = operation;
  const needs = scope === null ? 'Needs no key.' : `Needs a key with the scope \`${scope}\`.`;
  const parameters = [...segments(operation), ...Object.entries(query).map(([name, one]) => queryParameter(name, one))];
  return {
    operationId,
    tags: [topic],
    summary,
    description: detail === undefined ? needs : `${detail}\n\n${needs}`,
    'x-sutaz-scope': scope,
    ...(scope === null ? { security: [] } : {}),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body
      ? { requestBody: { content: { 'application/json': { schema: reference(body), ...valued(example?.body) } } } }
      : {}),
    responses: { ...plainAnswer(operation), ...refusals(operation) },
    'x-codeSamples': [{ lang: 'Shell', source: commandOf(operation) }],
  };
}

/** The call as curl makes it. */
function commandOf({ method, path, scope, events, example = {} }: Operation): string {
  const given = example.segments?.values();
  const filled = path.replaceAll(/\{\w+\}/g, () => encodeURIComponent(given?.next().value ?? 'name'));
  const address = `"http://127.0.0.1:8080${controlBase}${filled}${example.query ? `?${example.query}` : ''}"`;
  return [
    `curl${events ? ' -N' : ''}${method === 'GET' ? '' : ` -X ${method}`}`,
    ...(scope === null ? [] : ['-H "Authorization: Bearer $(./sutaz key)"']),
    ...(example.body === undefined ? [] : [`-H 'Content-Type: application/json' -d '${JSON.stringify(example.body)}'`]),
    address,
  ].join(' ');
}

const reference = (name: WireName): Schema => ({ $ref: `#/components/schemas/${name}` });
const valued = (example: unknown): Schema => (example === undefined ? {} : { example });

function segments({ path, segments: said = {}, example }: Operation): readonly Schema[] {
  return segmentsOf(path).map((name, index) => ({
    ...{ name, in: 'path', required: true, description: said[name] ?? 'Percent-encoded.', schema: { type: 'string' } },
    ...valued(example?.segments?.[index]),
  }));
}

function queryParameter(name: string, { type, many, required, about: description }: QueryParameter): Schema {
  const schema = many ? { type: 'array', items: { type } } : { type };
  return { name, in: 'query', description, schema, ...(required ? { required } : {}) };
}

function plainAnswer(operation: Operation): Schema {
  const { answer, events, text, status } = operation;
  const stream = events && {
    'text/event-stream': {
      schema: { type: 'string', description: eventsText(operation) },
      'x-sutaz-events': named(events),
    },
  };
  if (!answer && !stream && !text) return { 204: { description: 'Done' } };
  const plain = {
    ...(answer ? { 'application/json': { schema: reference(answer) } } : {}),
    ...(text ? { 'text/plain': { schema: { type: 'string' } } } : {}),
  };
  // A stream's status is sent before anybody knows how the work ends.
  const apart = status !== undefined && stream;
  return {
    [status ?? 200]: {
      description: answer ?? 'The lines, or the events',
      content: { ...plain, ...(apart ? {} : stream) },
    },
    ...(apart ? { 200: { description: `The events, with ${operation.streamedBy}=true`, content: stream } } : {}),
  };
}

const named = (events: Readonly<Record<string, WireName>>): Schema =>
  Object.fromEntries(Object.entries(events).map(([event, name]) => [event, reference(name)]));

const eventsText = ({ events = {}, streamedBy }: Operation): string =>
  `Server-sent events${streamedBy ? `, with \`${streamedBy}=true\`` : ''}: ` +
  Object.entries(events)
    .map(([event, name]) => `\`${event}\` carries ${name}`)
    .join(', ') +
  '. Comments may stand between them.';

/** One response a status; which codes have it is told by its name. */
function refusals(operation: Operation): Schema {
  const statuses = new Set(faultsOf(operation).map((code) => faults[code].status));
  return Object.fromEntries(
    [...statuses].sort((a, b) => a - b).map((status) => [status, { $ref: `#/components/responses/Refused${status}` }]),
  );
}

function responses(): Schema {
  const codes = Object.keys(faults) as FaultCode[];
  const used = new Set(
    Object.values<Operation>(operations).flatMap((one) => faultsOf(one).map((code) => faults[code].status)),
  );
  const entries = [...used]
    .sort((a, b) => a - b)
    .map((status) => {
      const own = codes.filter((code) => faults[code].status === status);
      const description = own.map((code) => `\`${code}\`: ${faults[code].title}.`).join(' ');
      const content = { 'application/problem+json': { schema: reference('ApiProblem') } };
      return [`Refused${status}`, { description, content }] as const;
    });
  return Object.fromEntries(entries);
}

/** Every type that an operation names, and what those are made of. */
function schemas(): Schema {
  const generator = createGenerator({
    path: join(root, 'src/contracts/operations/wire.ts'),
    tsconfig: join(root, 'tsconfig.json'),
    type: 'Wire',
    skipTypeCheck: true,
    sortProps: false,
    markdownDescription: false,
  });
  const { definitions = {} } = generator.createSchema('Wire');
  const { Wire: _, ...own } = JSON.parse(
    JSON.stringify(definitions).replaceAll('#/definitions/', '#/components/schemas/'),
  ) as Record<string, Schema>;
  return Object.fromEntries(
    Object.entries(own)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, schema]) => [name, { ...(name.endsWith('Ask') ? schema : opened(schema)), ...exampleOf(name) }]),
  );
}

function exampleOf(name: string): Schema {
  const example = examples[name as WireName];
  return example === undefined ? {} : { examples: [example] };
}

/** Answers may grow: a client passes over what it does not know. What is asked may not: a misspelt key is refused. */
function opened<T>(value: T): T {
  if (Array.isArray(value)) return value.map(opened) as T;
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([key, one]) => !(key === 'additionalProperties' && one === false));
  return Object.fromEntries(entries.map(([key, one]) => [key, opened(one)])) as T;
}
