import type { ApiModel } from '#contracts/api';
import { Fault } from '#kernel/faults';
import { answerFrom } from './cache/to-client.ts';
import { decodeSegment, readBody, sendJson } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { forward } from './forward.ts';
import type { ForwardDeps } from './forward.ts';
import { imageIn, seeing } from './images.ts';
import { withMetered } from './limits/metered.ts';
import { capabilitiesOf, inManner, inOrder, modelOf } from './models.ts';
import type { Capability, ModelDirectory, NamedModels } from './models.ts';
import { handleResponses } from './responses/handler.ts';

export interface OpenaiDeps extends ForwardDeps {
  readonly models: ModelDirectory;
  readonly limits: () => { readonly body: number };
}

/** The calls that name a model in their body and go to its engine as they are, with what an engine must provide for each. */
const engineCalls: Readonly<Record<string, Capability>> = {
  '/v1/chat/completions': 'openai.chat',
  '/v1/completions': 'openai.completions',
  '/v1/embeddings': 'openai.embeddings',
};

/** Those that are made into calls of the engine's own API here. */
const translators: Readonly<Record<string, (exchange: Exchange, deps: OpenaiDeps) => Promise<void>>> = {
  '/v1/responses': handleResponses,
};

const served = [...Object.keys(engineCalls), ...Object.keys(translators)];

export function handleOpenai(exchange: Exchange, deps: OpenaiDeps): Promise<void> | void {
  const { path, method } = exchange;
  const capability = Object.hasOwn(engineCalls, path) ? engineCalls[path] : undefined;
  const translated = Object.hasOwn(translators, path) ? translators[path] : undefined;
  if (capability ?? translated) {
    return capability ? callEngine(exchange, capability, deps) : translated?.(exchange, deps);
  }
  const named = /^\/v1\/models(?:\/(.+))?$/.exec(path);
  if (named) {
    return named[1] === undefined ? listModels(exchange, deps) : showModel(exchange, decodeSegment(named[1]), deps);
  }
  throw new Fault('NOT_FOUND', `There is no ${method} ${path}. Served here: ${[...served, '/v1/models'].join(', ')}.`);
}

async function callEngine(exchange: Exchange, capability: Capability, deps: OpenaiDeps): Promise<void> {
  const body = await readBody(exchange, deps.limits().body);
  const parsed = deps.answers.read(body);
  const name = modelOf(parsed);
  const choices = seeing(deps.models.choose(name, capability), imageIn(parsed));
  const stream = parsed.stream === true;
  await inOrder(exchange, choices, (choice, more) => {
    // Nothing to add: the engine gets the very bytes that were sent.
    const asItIs = choice.manner === null && choice.remote === undefined;
    const question = asItIs ? parsed : inManner(parsed, choice, capability);
    const own = asItIs ? body : Buffer.from(JSON.stringify(question));
    deps.limiter.admitModel(exchange, choice, question, own.byteLength);
    const onward = {
      unit: choice.unit,
      path: exchange.path,
      prefix: '',
      body: own,
      stream,
      pure: true,
      more,
      afar: choice.remote !== undefined,
    };
    const kept = deps.answers.begin(exchange, { model: choice.id, path: exchange.path, question, more });
    if (kept) return answerFrom(kept, exchange, onward, deps);
    return forward(exchange, onward, withMetered(exchange, deps));
  });
}

const epochSeconds = (iso: string | undefined): number => (iso ? Math.floor(Date.parse(iso) / 1000) : 0);

const describe = ({ id, pulled, name, state, context, aliases }: ApiModel, { models }: OpenaiDeps) => ({
  id,
  object: 'model',
  created: epochSeconds(pulled?.pulledAt),
  owned_by: 'sutaz',
  name,
  state,
  context_length: context,
  aliases,
  capabilities: capabilitiesOf(models.providedBy(id)),
  ...forAnthropic(name, pulled?.pulledAt),
});

/** What Anthropic's clients look for in a model; OpenAI's pass over it. */
const forAnthropic = (name: string, at = '1970-01-01T00:00:00Z') => ({
  type: 'model',
  display_name: name,
  created_at: at,
});

const describeName = ({ name, first }: NamedModels) => ({
  ...{ id: name, object: 'model', created: 0, owned_by: 'sutaz.yaml' },
  first,
  ...forAnthropic(name),
});

function listModels(exchange: Exchange, deps: OpenaiDeps): void {
  const { models } = deps;
  const data = [...models.list().map((model) => describe(model, deps)), ...models.names().map(describeName)];
  const pages = { has_more: false, first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
  sendJson(exchange, 200, { object: 'list', data, ...pages });
}

function showModel(exchange: Exchange, name: string, deps: OpenaiDeps): void {
  const { models } = deps;
  const named = models.names().find((one) => one.name === name);
  if (named) return sendJson(exchange, 200, describeName(named));
  const unit = models.unit(name);
  const model = models.list().find(({ id }) => `model/${id}` === unit);
  if (!model) throw new Fault('NOT_FOUND', `No model is called ${name}.`, { param: 'model' });
  sendJson(exchange, 200, describe(model, deps));
}
