import { hash } from 'node:crypto';
import { isRecord } from '#kernel/json';
import { escapeHtml } from './waiting-page.ts';

/** As much of an OpenAPI document as the page shows; `docs/openapi.json` is the only one it ever gets. */
interface Document {
  readonly info: { readonly title: string; readonly version: string; readonly description: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly responses: Readonly<Record<string, { readonly description: string }>>;
  };
}

interface Operation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<
    Record<string, { readonly $ref?: string; readonly description?: string; readonly content?: Content }>
  >;
  readonly 'x-codeSamples': readonly { readonly source: string }[];
}

interface Parameter {
  readonly name: string;
  readonly in: string;
  readonly description: string;
  readonly schema: Schema;
  readonly required?: boolean;
}

type Content = Readonly<
  Record<string, { readonly schema: Schema; readonly 'x-sutaz-events'?: Readonly<Record<string, Schema>> }>
>;

interface Schema {
  readonly $ref?: string;
  readonly type?: string | readonly string[];
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly Schema[];
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly description?: string;
  readonly examples?: readonly unknown[];
}

interface Named extends Operation {
  readonly method: string;
  readonly path: string;
}

/** The whole description on one page that needs no script. */
export function renderDescription(value: unknown): string {
  const document = value as Document;
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, one]): Named => ({ ...one, method: method.toUpperCase(), path })),
  );
  const of = (topic: string) => operations.filter(({ tags }) => tags.includes(topic));
  const { info, tags, components } = document;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(info.title)}</title>
<style>${style}</style>
</head>
<body>
<nav aria-label="Calls">
<a href="#top"><strong>${escapeHtml(info.title)}</strong></a>
${tags.map(({ name }) => `<h2>${escapeHtml(name)}</h2><ul>${of(name).map(entry).join('')}</ul>`).join('\n')}
<h2>types</h2><ul>${Object.keys(components.schemas).map(typeEntry).join('')}</ul>
</nav>
<main id="top">
<h1>${escapeHtml(info.title)} <small>${escapeHtml(info.version)}</small></h1>
${paragraphs(info.description)}
<p>For programs: <a href="/sutaz/v1/openapi.json">openapi.json</a></p>
${tags.map(({ name, description }) => topic(name, description, of(name), document)).join('\n')}
<section><h2>Types</h2>
${Object.entries(components.schemas).map(type).join('\n')}
</section>
</main>
</body>
</html>
`;
}

const entry = ({ operationId, method, summary }: Named): string =>
  `<li><a href="#${operationId}">${badge(method)} ${escapeHtml(summary)}</a></li>`;

const typeEntry = (name: string): string => `<li><a href="#${name}">${name}</a></li>`;

const badge = (method: string): string => `<b class="${method.toLowerCase()}">${method}</b>`;

const topic = (name: string, about: string, operations: readonly Named[], document: Document): string =>
  `<section><h2>${escapeHtml(name)}</h2>${paragraphs(about)}${operations.map((one) => call(one, document)).join('')}</section>`;

function call(one: Named, { components }: Document): string {
  const { operationId, method, path, summary, description, parameters = [], requestBody, responses } = one;
  const answers = Object.entries(responses).map(([status, { $ref, description: said = '', content }]) => {
    const shared = $ref === undefined ? undefined : components.responses[lastOf($ref)];
    return [status, shared ? words(shared.description) : contents(content) || words(said)] as const;
  });
  return `<article id="${operationId}">
<h3>${escapeHtml(summary)}</h3>
<p class="address">${badge(method)} <code>${escapeHtml(path)}</code> <small>${operationId}</small></p>
${paragraphs(description)}
${table(
  'Parameters',
  parameters.map(({ name, in: where, description: about, schema, required }) => [
    `<code>${escapeHtml(name)}</code>`,
    `${where}, ${shape(schema)}${required ? ', required' : ''}: ${words(about)}`,
  ]),
)}
${requestBody ? `<p>Body: ${contents(requestBody.content)}</p>` : ''}
${table('Answers', answers)}
<pre>${escapeHtml(one['x-codeSamples'][0]?.source ?? '')}</pre>
</article>`;
}

const contents = (content: Content = {}): string =>
  Object.entries(content)
    .map(([type, { schema, 'x-sutaz-events': events }]) => {
      const told = events
        ? Object.entries(events).map(([event, one]) => `<code>${escapeHtml(event)}</code> ${shape(one)}`)
        : [shape(schema)];
      return `${escapeHtml(type)}: ${told.join(', ')}`;
    })
    .join('<br>');

function type([name, schema]: readonly [string, Schema]): string {
  const { properties = {}, required = [], description, examples } = schema;
  const rows = Object.entries(properties).map(
    ([key, one]) =>
      [
        `<code>${escapeHtml(key)}</code>`,
        `${shape(one)}${required.includes(key) ? '' : ', optional'}${one.description ? `: ${words(one.description)}` : ''}`,
      ] as const,
  );
  const example = examples?.[0];
  return `<article id="${name}">
<h3>${name}</h3>
${description ? paragraphs(description) : ''}
${rows.length > 0 ? table('Keys', rows) : `<p>${shape(schema)}</p>`}
${example === undefined ? '' : `<details><summary>Example</summary><pre>${escapeHtml(JSON.stringify(example, null, 2))}</pre></details>`}
</article>`;
}

/** A schema in a few words, with links to the types that have a name. */
function shape(schema: Schema): string {
  const { $ref, anyOf, items, properties } = schema;
  if ($ref !== undefined) return `<a href="#${lastOf($ref)}">${lastOf($ref)}</a>`;
  if (anyOf) return anyOf.map(shape).join(' or ');
  if (schema.const !== undefined) return `<code>${escapeHtml(JSON.stringify(schema.const))}</code>`;
  if (schema.enum) return schema.enum.map((one) => `<code>${escapeHtml(JSON.stringify(one))}</code>`).join(' ');
  if (items) return `list of ${shape(items)}`;
  if (isRecord(properties))
    return `{ ${Object.entries(properties)
      .map(([key, one]) => `${escapeHtml(key)}: ${shape(one)}`)
      .join(', ')} }`;
  return escapeHtml([schema.type ?? 'anything'].flat().join(' or '));
}

function table(title: string, rows: readonly (readonly [string, string])[]): string {
  if (rows.length === 0) return '';
  const body = rows.map(([head, cell]) => `<tr><th scope="row">${head}</th><td>${cell}</td></tr>`).join('');
  return `<table><caption>${title}</caption><tbody>${body}</tbody></table>`;
}

const lastOf = (reference: string): string => escapeHtml(reference.slice(reference.lastIndexOf('/') + 1));

/** Text with its `code` marked as such. */
const words = (text: string): string => escapeHtml(text).replaceAll(/`([^`]+)`/g, '<code>$1</code>');

const paragraphs = (text: string): string =>
  text
    .split('\n\n')
    .map((one) => `<p>${words(one)}</p>`)
    .join('');

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; display: grid; grid-template-columns: 19rem minmax(0, 1fr); }
nav { position: sticky; top: 0; height: 100vh; overflow: auto; box-sizing: border-box; padding: 1rem; font-size: .85rem; border-right: 1px solid #8884; }
nav h2 { font-size: .8rem; text-transform: capitalize; margin: 1rem 0 .25rem; opacity: .7; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: .15rem 0; color: inherit; text-decoration: none; }
nav a:hover, nav a:focus { text-decoration: underline; }
main { padding: 1rem 2rem 6rem; max-width: 60rem; min-width: 0; }
h2 { margin-top: 3rem; text-transform: capitalize; }
article { border-top: 1px solid #8884; padding: .5rem 0 1rem; scroll-margin-top: 1rem; }
b { display: inline-block; min-width: 3.2rem; font: 600 .72rem ui-monospace, monospace; }
.get { color: light-dark(#1257b5, #7db4ff); } .post { color: light-dark(#1a6b33, #7fd39a); } .delete { color: light-dark(#a4262c, #ff9b9b); }
code, pre { font: .85em ui-monospace, monospace; }
pre { padding: .75rem; overflow: auto; background: #8882; border-radius: 4px; }
table { width: 100%; border-collapse: collapse; margin: .5rem 0; font-size: .9rem; }
caption { text-align: left; font-weight: 600; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid #8883; overflow-wrap: anywhere; }
th { font-weight: 400; width: 9rem; }
small { opacity: .7; font-weight: 400; }
@media (max-width: 50rem) { body { display: block; } nav { position: static; height: auto; border: 0; } main { padding: 1rem; } }
`;

/** By which the page's content policy lets this style in and no other. */
export const styleHash = `sha256-${hash('sha256', style, 'base64')}`;
