import type { ApiModel } from '#contracts/api';
import { Fault, toFault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { isRecord } from '#kernel/json';
import { openStream } from '../comments.ts';
import type { Control } from '../control.ts';
import { askChunks, askWhole } from '../engine-call.ts';
import { parseObject, readBody, sendJson } from '../exchange.ts';
import type { Exchange } from '../exchange.ts';
import { flag } from '../fields.ts';
import { wakePlain } from '../forward.ts';
import { timingHeader } from '../headers.ts';
import { seeing } from '../images.ts';
import { inManner, inOrder } from '../models.ts';
import type { Capability, ModelChoice } from '../models.ts';
import type { OpenaiDeps } from '../openai.ts';
import { createOllamaStream, folded, loadedAnswer } from './answer.ts';
import { isHere, loadedOf, pullStatus, showOf, tagOf, withoutLatest } from './describe.ts';
import { checkContext } from './options.ts';
import { chatCall, embedCall, embeddingsCall, generateCall, namedModel } from './request.ts';
import type { EmbedCall, KeepAlive, OllamaCall } from './request.ts';

export interface OllamaDeps extends OpenaiDeps {
  readonly control: Control;
}

type Handler = (exchange: Exchange, deps: OllamaDeps, body: unknown) => Promise<void> | void;

const cannot =
  (what: string): Handler =>
  () => {
    throw new Fault('NOT_SUPPORTED', what);
  };

/** What they are asked by is in the door's guards. */
const routes: Readonly<Record<string, Handler>> = {
  '/api/chat': (exchange, deps, body) => generate(exchange, deps, 'chat', chatCall(body)),
  '/api/generate': (exchange, deps, body) => generate(exchange, deps, 'generate', generateCall(body)),
  '/api/embed': embed,
  '/api/embeddings': embedOne,
  '/api/tags': tags,
  '/api/ps': loaded,
  '/api/version': (exchange, { control }) => sendJson(exchange, 200, { version: control.state().platform.version }),
  '/api/show': show,
  '/api/pull': pull,
  '/api/delete': remove,
  '/api/copy': cannot('A model gets another name in sutaz.yaml, under models.names.'),
  '/api/create': cannot('A model is made by a definition in the catalogue; see docs/definitions.md.'),
  '/api/push': cannot('Models are not sent anywhere.'),
};

/** Ollama's API, as its clients speak it. */
export async function handleOllama(exchange: Exchange, deps: OllamaDeps): Promise<void> {
  const { path, method } = exchange;
  const handle = Object.hasOwn(routes, path) ? routes[path] : undefined;
  if (!handle) {
    throw new Fault('NOT_FOUND', `There is no ${method} ${path}. Served here: ${Object.keys(routes).join(', ')}.`);
  }
  const body = method === 'GET' || method === 'HEAD' ? {} : parseObject(await readBody(exchange, deps.limits().body));
  await handle(exchange, deps, body);
}

async function generate(
  exchange: Exchange,
  deps: OllamaDeps,
  kind: 'chat' | 'generate',
  call: OllamaCall,
): Promise<void> {
  const capability: Capability = call.path === '/v1/completions' ? 'openai.completions' : 'openai.chat';
  const choices = seeing(chosen(call.model, capability, deps), call.image);
  const about = { kind, model: call.model, now: () => new Date(deps.clock.wall()), clock: () => deps.clock.now() };
  if (call.path === null) return load(exchange, deps, choices, call, about);
  const stream = createOllamaStream(about);
  const objects: object[] = [];
  const taker = {
    contentType: call.stream ? ndjson : null,
    // There is nothing that all of Ollama's clients pass over: the headers wait for the first word.
    waiting: null,
    chunk(chunk: Readonly<Record<string, unknown>>): string {
      const made = stream.push(chunk);
      if (call.stream) return made.map(line).join('');
      objects.push(...made);
      return '';
    },
  };
  const engine = {
    choices,
    path: call.path,
    body(choice: ModelChoice) {
      const { context } = call.options;
      if (context !== undefined) checkContext(context, contextOf(choice, deps));
      return { ...call.usual, ...inManner(call.body, choice, capability) };
    },
    onAwake: ({ unit }: ModelChoice) => deps.control.keep(unit, call.keepAlive),
    names: kind === 'generate' ? { ...names, messages: 'prompt' } : names,
  };
  const { timing, choice } = await askChunks(exchange, engine, taker, deps);
  const last = stream.end({ ...timing, sinceMs: deps.clock.now() - exchange.since });
  if (call.stream) exchange.res.end(line(last));
  else sendJson(exchange, 200, folded([...objects, last]), timingHeader(timing));
  unloadIfAsked(choice.unit, call.keepAlive, deps);
}

/** Parameters that OpenAI's API calls otherwise. */
const names = { max_tokens: 'options.num_predict', stop: 'options.stop', response_format: 'format' };

const ndjson = 'application/x-ndjson';
const line = (object: object): string => `${JSON.stringify(object)}\n`;

const contextOf = ({ id }: ModelChoice, { models }: OllamaDeps): number | undefined =>
  models.list().find((model) => model.id === id)?.context;

/** Nothing was asked: the model is made ready, or let go. */
async function load(
  exchange: Exchange,
  deps: OllamaDeps,
  choices: readonly ModelChoice[],
  { keepAlive, stream }: OllamaCall,
  about: { readonly kind: 'chat' | 'generate'; readonly model: string; readonly now: () => Date },
): Promise<void> {
  const first = choices[0];
  if (keepAlive === 0 && first) {
    unloadIfAsked(first.unit, keepAlive, deps);
  } else {
    await inOrder(exchange, choices, async (choice) => {
      const awake = await wakePlain(exchange, choice, deps);
      deps.control.keep(choice.unit, keepAlive);
      awake.release();
    });
  }
  const answer = loadedAnswer(about, keepAlive === 0 ? 'unload' : 'load');
  if (!stream) return sendJson(exchange, 200, answer);
  openStream(exchange, ndjson);
  exchange.res.end(line(answer));
}

/** A model that somebody else uses, or that is pinned, stays. */
function unloadIfAsked(unit: UnitId, keepAlive: KeepAlive, { control }: OllamaDeps): void {
  if (keepAlive !== 0) return;
  try {
    control.stop(unit, false);
  } catch (error) {
    if (toFault(error).code !== 'CONFLICT') throw error;
  }
}

/** The models for a name, as it is or without the tag that Ollama's clients add. */
function chosen(name: string, capability: Capability, { models }: OllamaDeps): readonly ModelChoice[] {
  return resolved(name, (one) => models.choose(one, capability));
}

function resolved<T>(name: string, find: (name: string) => T): T {
  const short = withoutLatest(name);
  try {
    return find(name);
  } catch (error) {
    if (short === name || toFault(error).code !== 'NOT_FOUND') throw error;
    return find(short);
  }
}

async function vectorsOf(exchange: Exchange, deps: OllamaDeps, call: EmbedCall) {
  const choices = chosen(call.model, 'openai.embeddings', deps);
  const { answer, timing, choice } = await askWhole(
    exchange,
    {
      choices,
      path: '/v1/embeddings',
      body: (choice) => inManner(call.body, choice, 'openai.embeddings'),
      onAwake: ({ unit }) => deps.control.keep(unit, call.keepAlive),
    },
    deps,
  );
  unloadIfAsked(choice.unit, call.keepAlive, deps);
  const data = Array.isArray(answer.data) ? (answer.data as unknown[]).filter(isRecord) : [];
  const usage = isRecord(answer.usage) ? answer.usage : {};
  return { vectors: data.map(({ embedding }) => embedding), tokens: Number(usage.prompt_tokens ?? 0), timing };
}

async function embed(exchange: Exchange, deps: OllamaDeps, body: unknown): Promise<void> {
  const call = embedCall(body);
  const { vectors, tokens, timing } = await vectorsOf(exchange, deps, call);
  const answer = {
    model: call.model,
    embeddings: vectors,
    total_duration: Math.round((deps.clock.now() - exchange.since) * 1e6),
    load_duration: Math.round((timing.queueMs + timing.wakeMs) * 1e6),
    prompt_eval_count: tokens,
  };
  sendJson(exchange, 200, answer, timingHeader(timing));
}

async function embedOne(exchange: Exchange, deps: OllamaDeps, body: unknown): Promise<void> {
  const { vectors, timing } = await vectorsOf(exchange, deps, embeddingsCall(body));
  sendJson(exchange, 200, { embedding: vectors[0] ?? [] }, timingHeader(timing));
}

async function tags(exchange: Exchange, { control }: OllamaDeps): Promise<void> {
  const here = control.models().filter(isHere);
  const models = await Promise.all(here.map(async ({ id }) => tagOf(await control.model(id))));
  sendJson(exchange, 200, { models });
}

const awake: ReadonlySet<ApiModel['state']> = new Set(['ready', 'freezing', 'frozen', 'thawing']);

async function loaded(exchange: Exchange, { control, clock }: OllamaDeps): Promise<void> {
  const ready = control.models().filter(({ state }) => awake.has(state));
  const models = await Promise.all(
    ready.map(async ({ id }) => loadedOf(await control.model(id), control.unit(control.unitId(id)), clock.wall())),
  );
  sendJson(exchange, 200, { models });
}

async function show(exchange: Exchange, deps: OllamaDeps, body: unknown): Promise<void> {
  const { model } = namedModel(body, { verbose: flag });
  const { control, models } = deps;
  const { id } = idOf(model, deps);
  const [details, { definition }] = await Promise.all([control.model(id), control.definition(id)]);
  const license = isRecord(definition) && typeof definition.license === 'string' ? definition.license : '';
  sendJson(exchange, 200, showOf(details, license, models.providedBy(id)));
}

/** The id of the model that a name stands for. */
function idOf(name: string, { models }: OllamaDeps): { readonly id: string } {
  const unit = resolved(name, (one) => models.unit(one));
  return { id: unit.slice('model/'.length) };
}

/** A pull in Ollama's words. Without a stream it is one answer, at the end. */
async function pull(exchange: Exchange, deps: OllamaDeps, body: unknown): Promise<void> {
  const { model, stream } = namedModel(body, { insecure: flag });
  const { id } = idOf(model, deps);
  const { control } = deps;
  if (!stream) {
    await control.pull(id, exchange.signal, () => undefined, false);
    return sendJson(exchange, 200, { status: 'success' });
  }
  const { res } = exchange;
  openStream(exchange, ndjson);
  let told = '';
  await control.pull(
    id,
    exchange.signal,
    (progress) => {
      const text = line(pullStatus(progress));
      // A reader that is behind misses states, and never the end.
      if (text === told || res.writableNeedDrain) return;
      told = text;
      res.write(text);
    },
    false,
  );
  res.end(line({ status: 'success' }));
}

async function remove(exchange: Exchange, deps: OllamaDeps, body: unknown): Promise<void> {
  const { model } = namedModel(body);
  await deps.control.removeModel(idOf(model, deps).id);
  exchange.res.writeHead(200, { 'content-length': '0', 'x-sutaz-trace-id': exchange.traceId }).end();
}
