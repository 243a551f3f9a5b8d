import { textAt } from './http.ts';
import type { Session } from './http.ts';

/** A component as the page has it before it is put into a flow: its fields, its sockets and its code. */
interface Component {
  readonly template: Readonly<Record<string, object>>;
}

type Palette = Readonly<Record<string, Readonly<Record<string, Component>>>>;

interface Part {
  readonly id: string;
  readonly type: string;
  readonly fields: Readonly<Record<string, object>>;
}

const value = (text: string) => ({ value: text });
/** As a field is when its globe is clicked: what stands there is the name of a variable. */
const variable = (name: string) => ({ value: name, load_from_db: true });

const parts = (model: string): readonly Part[] => [
  { id: 'input', type: 'ChatInput', fields: {} },
  {
    ...{ id: 'model', type: 'ext:openai:OpenAIModelComponent@official' },
    fields: {
      model_name: value(model),
      openai_api_base: variable('OPENAI_API_BASE'),
      api_key: variable('OPENAI_API_KEY'),
    },
  },
  { id: 'output', type: 'ChatOutput', fields: {} },
];

function nodeOf({ id, type, fields }: Part, palette: Palette) {
  const found = Object.values(palette).find((group) => type in group)?.[type];
  if (!found) throw new Error(`it has no component ${type}`);
  const filled = Object.entries(fields).map(([name, field]) => [name, { ...found.template[name], ...field }] as const);
  const node = { ...found, template: { ...found.template, ...Object.fromEntries(filled) } };
  return { id, type: 'genericNode', position: { x: 0, y: 0 }, data: { id, type, node } };
}

const edge = (source: Part, name: string, target: Part) => {
  const from = { dataType: source.type, id: source.id, name, output_types: ['Message'] };
  const to = { fieldName: 'input_value', id: target.id, inputTypes: ['Message'], type: 'str' };
  // What the page has as the ids of its sockets: JSON with another quotation mark.
  const text = (handle: object) => JSON.stringify(handle).replaceAll('"', 'œ');
  return {
    ...{ id: `${source.id}-${target.id}`, source: source.id, target: target.id },
    ...{ sourceHandle: text(from), targetHandle: text(to), data: { sourceHandle: from, targetHandle: to } },
  };
};

/** Langflow asks by its OpenAI component between a chat's input and output, told of address and key by their variables. */
export async function askByLangflow({ call }: Session, model: string, question: string): Promise<string> {
  await call('GET', '/api/v1/auto_login');
  const palette = (await call('GET', '/api/v1/all')) as Palette;
  const [input, asks, output] = parts(model) as [Part, Part, Part];
  const data = {
    nodes: [input, asks, output].map((part) => nodeOf(part, palette)),
    edges: [edge(input, 'message', asks), edge(asks, 'text_output', output)],
    viewport: { x: 0, y: 0, zoom: 1 },
  };
  const flow = textAt(await call('POST', '/api/v1/flows/', { name: 'ask', data }), 'id');
  const told = await call('POST', `/api/v1/run/${flow}`, {
    ...{ input_value: question, input_type: 'chat', output_type: 'chat' },
  });
  return textAt(told, 'outputs', '0', 'outputs', '0', 'results', 'message', 'text');
}
