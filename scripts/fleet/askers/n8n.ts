import { randomBytes } from 'node:crypto';
import { sleep } from '#kernel/abort';
import { systemClock } from '#kernel/clock';
import { textAt } from './http.ts';
import type { Session } from './http.ts';

const owner = () => ({
  ...{ email: 'fleet@example.org', firstName: 'Fleet', lastName: 'Trial' },
  // It wants a digit and a capital.
  password: `A1${randomBytes(12).toString('hex')}`,
});

const scopes = ['credential:create', 'workflow:create', 'workflow:activate'];

/** As its definition says of credentials: what the instance was given at its start, by name. */
const credential = {
  ...{ name: 'door', type: 'openAiApi' },
  data: { apiKey: '={{ $env.OPENAI_API_KEY }}', url: '={{ $env.OPENAI_API_BASE }}', header: false },
};

const node = (name: string, type: string, typeVersion: number, parameters: object, more: object = {}) => ({
  ...{ id: name, name, type, typeVersion, position: [0, 0], parameters },
  ...more,
});

const workflow = (model: string, credentialId: string) => ({
  name: 'ask',
  settings: {},
  nodes: [
    node(
      'hook',
      'n8n-nodes-base.webhook',
      2,
      { path: 'ask', httpMethod: 'POST', responseMode: 'lastNode' },
      { webhookId: 'ask' },
    ),
    node('chain', '@n8n/n8n-nodes-langchain.chainLlm', 1.9, {
      promptType: 'define',
      text: '={{ $json.body.question }}',
    }),
    node(
      'model',
      '@n8n/n8n-nodes-langchain.lmChatOpenAi',
      1.3,
      { model: { __rl: true, mode: 'id', value: model } },
      { credentials: { openAiApi: { id: credentialId, name: credential.name } } },
    ),
  ],
  connections: {
    hook: { main: [[{ node: 'chain', type: 'main', index: 0 }]] },
    model: { ai_languageModel: [[{ node: 'chain', type: 'ai_languageModel', index: 0 }]] },
  },
});

/** n8n asks by its OpenAI node, in a workflow that a webhook starts: all made over its API, as on the day it is installed. */
export async function askByN8n({ call }: Session, model: string, question: string): Promise<string> {
  await call('POST', '/rest/owner/setup', owner());
  const made = await call('POST', '/rest/api-keys', { label: 'fleet', scopes, expiresAt: null });
  const headers = { 'x-n8n-api-key': textAt(made, 'data', 'rawApiKey') };
  const { id: credentialId } = (await call('POST', '/api/v1/credentials', credential, headers)) as { id: string };
  const flow = textAt(await call('POST', '/api/v1/workflows', workflow(model, credentialId), headers), 'id');
  await call('POST', `/api/v1/workflows/${flow}/activate`, {}, headers);
  return textAt(await onceRegistered(() => call('POST', '/webhook/ask', { question })), 'text');
}

/** Milliseconds between two tries, and how many there are: ten seconds in all. */
const [againMs, tries] = [250, 40];

/** A webhook is registered some time after its workflow was said to be active; what is asked before has started nothing. */
async function onceRegistered(ask: () => Promise<unknown>): Promise<unknown> {
  for (let left = tries; ; left--) {
    try {
      return await ask();
    } catch (error) {
      if (left === 1 || !/ answered 404: .*not registered/s.test(String(error))) throw error;
      await sleep(systemClock, againMs);
    }
  }
}
