import { randomBytes } from 'node:crypto';
import { textAt } from './http.ts';
import type { Session } from './http.ts';

const internal = { 'x-request-from': 'internal' };

interface Part {
  readonly id: string;
  readonly category: string;
  readonly inputs: Readonly<Record<string, unknown>>;
  /** The classes of what it gives, as the page has them in the names of its sockets. */
  readonly gives: readonly string[];
}

const chatModel = (model: string): Part => ({
  ...{ id: 'chatOpenAI_0', category: 'Chat Models' },
  // Its address and its key are those of the environment where it is told none.
  inputs: { modelName: model, streaming: false },
  gives: ['ChatOpenAI', 'BaseChatModel', 'BaseLanguageModel'],
});

// Of a prompt's only gap it makes the question.
const prompt: Part = {
  ...{ id: 'promptTemplate_0', category: 'Prompts' },
  inputs: { template: '{question}' },
  gives: ['PromptTemplate'],
};

const chain: Part = {
  ...{ id: 'llmChain_0', category: 'Chains' },
  inputs: { model: '{{chatOpenAI_0.data.instance}}', prompt: '{{promptTemplate_0.data.instance}}' },
  gives: ['LLMChain'],
};

const nameOf = (id: string): string => id.slice(0, id.indexOf('_'));

const nodeOf = ({ id, category, inputs }: Part) => {
  const sockets = { inputParams: [], inputAnchors: [], outputAnchors: [] };
  const outputs = id === chain.id ? { output: 'llmChain' } : {};
  return {
    id,
    type: 'customNode',
    position: { x: 0, y: 0 },
    data: { id, name: nameOf(id), category, inputs, ...sockets, outputs },
  };
};

const edgeOf = ({ id, gives }: Part, input: string) => ({
  ...{ id: `${id}-${input}`, type: 'buttonedge', source: id, target: chain.id },
  sourceHandle: `${id}-output-${nameOf(id)}-${gives.join('|')}`,
  targetHandle: `${chain.id}-input-${input}`,
});

const flow = (model: string) => ({
  nodes: [chatModel(model), prompt, chain].map(nodeOf),
  edges: [edgeOf(chatModel(model), 'model'), edgeOf(prompt, 'prompt')],
  viewport: { x: 0, y: 0, zoom: 1 },
});

/** Flowise asks by its ChatOpenAI node in a chain: an account, a flow and its prediction, all over its API. */
export async function askByFlowise({ call }: Session, model: string, question: string): Promise<string> {
  const [email, password] = ['fleet@example.org', `A1-${randomBytes(12).toString('hex')}`];
  await call('POST', '/api/v1/account/register', { user: { name: 'Fleet', email, type: 'pro', credential: password } });
  await call('POST', '/api/v1/auth/login', { email, password }, internal);
  const chatflow = {
    name: 'ask',
    type: 'CHATFLOW',
    deployed: false,
    isPublic: false,
    flowData: JSON.stringify(flow(model)),
  };
  const id = textAt(await call('POST', '/api/v1/chatflows', chatflow, internal), 'id');
  return textAt(
    await call('POST', `/api/v1/internal-prediction/${id}`, { question, streaming: false }, internal),
    'text',
  );
}
