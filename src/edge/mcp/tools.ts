import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { isRecord } from '#kernel/json';
import { allows } from '#security/scopes';
import type { Rights } from '#security/scopes';
import { demandUnit } from '../access.ts';
import { noteForAudit } from '../audited.ts';
import type { Control } from '../control.ts';
import { askWhole } from '../engine-call.ts';
import { flag, list, number, oneOf, read, record, required, text } from '../fields.ts';
import type { Fields, Read } from '../fields.ts';
import type { Exchange } from '../exchange.ts';
import type { ForwardDeps } from '../forward.ts';
import { inManner } from '../models.ts';
import type { Capability, ModelChoice, ModelDirectory } from '../models.ts';
import { whileWaking } from './call.ts';
import type { ToolCall } from './call.ts';

export interface ToolDeps extends ForwardDeps {
  readonly control: Control;
  readonly models: ModelDirectory;
}

/** One of the platform's own tools. */
export interface OwnTool {
  readonly description: string;
  readonly inputSchema: { readonly type: 'object'; readonly [key: string]: unknown };
  readonly readOnly: boolean;
  /** Whether somebody with these rights sees it and may call it. What it is called for is looked at then. */
  may(rights: Rights): boolean;
  /** JSON, or the text itself. */
  run(given: unknown, call: ToolCall, deps: ToolDeps): Promise<unknown>;
}

interface Declaration<F extends Fields> {
  readonly description: string;
  readonly fields: F;
  readonly properties: { readonly [K in keyof F]: object };
  readonly needed?: readonly (keyof F & string)[];
  readonly readOnly?: true;
  readonly may: (rights: Rights) => boolean;
  readonly run: (given: Read<F>, call: ToolCall, deps: ToolDeps) => Promise<unknown> | unknown;
}

const tool = <F extends Fields>(declared: Declaration<F>): OwnTool => ({
  description: declared.description,
  inputSchema: {
    type: 'object',
    properties: declared.properties,
    required: [...(declared.needed ?? [])],
    additionalProperties: false,
  },
  readOnly: declared.readOnly ?? false,
  may: declared.may,
  run: async (given, call, deps) => declared.run(read(given ?? {}, declared.fields), call, deps),
});

const chatFields = {
  model: text,
  prompt: text,
  messages: list(record, 1),
  max_tokens: number({ min: 1, integer: true }),
};
const embedFields = { model: text, input: list(text, 1) };
const name = { type: 'string', description: 'Its id, its bare name or a model’s alias.' };
const model = { type: 'string', description: 'The id of a model, an alias or "default".' };
/** Milliseconds that a tool waits for a model: its caller may leave at any time, and is told how far the wake is. */
const longestWakeMs = 30 * 60_000;

const mayManage = (rights: Rights): boolean => allows(rights, 'services:manage') || allows(rights, 'models:manage');

export const ownTools: Readonly<Record<string, OwnTool>> = {
  list_services: tool({
    description: 'List the services of this machine: what they are, and whether they are awake.',
    ...{ fields: {}, properties: {}, readOnly: true },
    may: (rights) => allows(rights, 'state:read'),
    run: (_, __, { control }) => ({
      services: control
        .state()
        .units.filter(({ kind, copyOf }) => kind === 'service' && copyOf === null)
        .map(({ id, title, summary, state, url }) => ({ id, title, summary, state, url })),
    }),
  }),
  show_unit: tool({
    description: 'Show one service or model: its state, why it is in it, and its memory.',
    ...{ fields: { name: text }, properties: { name }, needed: ['name'], readOnly: true },
    may: (rights) => allows(rights, 'state:read'),
    run: (given, _, { control }) => control.unit(control.unitId(required(given.name, 'name'))),
  }),
  start_unit: tool({
    description: 'Wake a service or load a model, and wait until it is ready.',
    ...{ fields: { name: text }, properties: { name }, needed: ['name'] },
    may: mayManage,
    run: startUnit,
  }),
  stop_unit: tool({
    description: 'Put a service or a model to sleep. A busy one is refused unless it is forced.',
    fields: { name: text, force: flag },
    properties: { name, force: { type: 'boolean', description: 'What it works on is lost.' } },
    needed: ['name'],
    may: mayManage,
    run({ force = false, ...given }, { exchange }, { control }) {
      const id = managed('stopUnit', given.name, exchange, control);
      control.stop(id, force);
      return control.unit(id);
    },
  }),
  list_models: tool({
    description: 'List the models that can be asked: what they are, and whether they are loaded.',
    ...{ fields: {}, properties: {}, readOnly: true },
    may: (rights) => allows(rights, 'models:use'),
    run: (_, __, { models }) => ({
      models: models.list().map(({ id, name: title, summary, state, context, aliases }) => ({
        id,
        title,
        summary,
        state,
        context,
        aliases,
      })),
    }),
  }),
  chat: tool({
    description: 'Ask a model. It is loaded first if it is not; that may take a while.',
    fields: chatFields,
    properties: {
      model,
      prompt: { type: 'string', description: 'What a user says; or give messages.' },
      messages: {
        type: 'array',
        items: {
          type: 'object',
          properties: { role: { enum: ['system', 'user', 'assistant'] }, content: { type: 'string' } },
          required: ['role', 'content'],
        },
      },
      max_tokens: { type: 'integer', minimum: 1 },
    },
    may: (rights) => allows(rights, 'models:use'),
    run: chat,
  }),
  embed: tool({
    description: 'Make vectors of texts with an embedding model.',
    fields: embedFields,
    properties: { model, input: { type: 'array', items: { type: 'string' }, minItems: 1 } },
    needed: ['model', 'input'],
    may: (rights) => allows(rights, 'models:use'),
    run: embed,
  }),
};

/** The unit that somebody may start and stop; what they do is written down. */
function managed(
  what: 'startUnit' | 'stopUnit',
  named: string | undefined,
  exchange: Exchange,
  control: Control,
): UnitId {
  const name = required(named, 'name');
  noteForAudit(exchange, { what, target: name.slice(0, 256), details: { by: 'mcp' } });
  demandUnit(exchange, name, control);
  return control.unitId(name);
}

async function startUnit(
  given: { readonly name: string | undefined },
  call: ToolCall,
  deps: ToolDeps,
): Promise<unknown> {
  const { control } = deps;
  const id = managed('startUnit', given.name, call.exchange, control);
  const caller = { principal: call.exchange.principal?.id ?? 'mcp', class: 'interactive' } as const;
  // Like any waiter, so that a start which nobody waits for any more is called off.
  await whileWaking(id, call, deps, async () =>
    (await deps.waker.wake(id, { ...caller, signal: call.exchange.signal })).release(),
  );
  return control.unit(id);
}

const message = { role: oneOf('system', 'user', 'assistant'), content: text };

async function chat(given: Read<typeof chatFields>, call: ToolCall, deps: ToolDeps): Promise<unknown> {
  const { model: asked = 'default', prompt, max_tokens } = given;
  if ((prompt === undefined) === (given.messages === undefined)) {
    throw new Fault('BAD_REQUEST', 'Give a prompt, or messages.', { param: 'prompt' });
  }
  const messages = given.messages?.map((one, index) => read(one, message, `messages[${index}].`)) ?? [
    { role: 'user', content: prompt },
  ];
  const answer = await askModel(
    asked,
    'openai.chat',
    '/v1/chat/completions',
    { messages, ...(max_tokens && { max_tokens }) },
    call,
    deps,
  );
  const [choice] = Array.isArray(answer.choices) ? (answer.choices as unknown[]) : [];
  const said = isRecord(choice) && isRecord(choice.message) ? choice.message.content : undefined;
  if (typeof said === 'string') return said;
  throw new Fault('UPSTREAM_FAILED', 'The engine answered without a message.');
}

async function embed(given: Read<typeof embedFields>, call: ToolCall, deps: ToolDeps): Promise<unknown> {
  const input = required(given.input, 'input');
  const name = required(given.model, 'model');
  const { data } = await askModel(name, 'openai.embeddings', '/v1/embeddings', { input }, call, deps);
  if (!Array.isArray(data)) throw new Fault('UPSTREAM_FAILED', 'The engine answered without vectors.');
  return { embeddings: data.map((one: unknown) => (isRecord(one) ? one.embedding : null)) };
}

async function askModel(
  asked: string,
  capability: Capability,
  path: string,
  body: Readonly<Record<string, unknown>>,
  call: ToolCall,
  deps: ToolDeps,
): Promise<Readonly<Record<string, unknown>>> {
  const choices = deps.models.choose(asked, capability);
  const [first] = choices;
  if (!first) throw new Fault('NOT_FOUND', `No model is called ${asked}.`, { param: 'model' });
  const patient = { ...deps, holdMs: () => longestWakeMs };
  return whileWaking(first.unit, call, deps, async (onAwake) => {
    const made = (choice: ModelChoice) => inManner(body, choice, capability);
    return (await askWhole(call.exchange, { choices, path, body: made, onAwake }, patient)).answer;
  });
}
