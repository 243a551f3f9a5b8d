import type { ApiModel } from '#contracts/api';
import { Fault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import { demand } from './auth.ts';
import { decodeSegment, onlyTakes, parseObject, readBody, sendJson } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { forward } from './forward.ts';
import type { ForwardDeps } from './forward.ts';

export interface ModelDirectory {
  /** The unit of a model by id, alias or `default`; throws NOT_FOUND (param `model`) with the nearest names. */
  unit(name: string): UnitId;
  list(): readonly ApiModel[];
}

export interface OpenaiDeps extends ForwardDeps {
  readonly models: ModelDirectory;
  readonly limits: () => { readonly body: number };
}

/** The calls that name a model in their body and go to its engine as they are. */
const engineCalls = new Set(['/v1/chat/completions', '/v1/completions', '/v1/embeddings']);

export async function handleOpenai(exchange: Exchange, deps: OpenaiDeps): Promise<void> {
  const { path, method } = exchange;
  demand(exchange, 'use');
  if (engineCalls.has(path)) {
    if (method !== 'POST') throw onlyTakes(path, ['POST']);
    return callEngine(exchange, deps);
  }
  const named = /^\/v1\/models(?:\/(.+))?$/.exec(path);
  if (named) {
    if (method !== 'GET' && method !== 'HEAD') throw onlyTakes(path, ['GET', 'HEAD']);
    return named[1] === undefined ? listModels(exchange, deps) : showModel(exchange, decodeSegment(named[1]), deps);
  }
  throw new Fault(
    'NOT_FOUND',
    `There is no ${method} ${path}. Served here: ${[...engineCalls, '/v1/models'].join(', ')}.`,
  );
}

async function callEngine(exchange: Exchange, deps: OpenaiDeps): Promise<void> {
  const body = await readBody(exchange, deps.limits().body);
  const { model, stream } = parseObject(body);
  if (model === undefined) {
    throw new Fault('BAD_REQUEST', 'The parameter model is missing. "default" always works.', { param: 'model' });
  }
  if (typeof model !== 'string')
    throw new Fault('BAD_REQUEST', 'The parameter model must be a string.', { param: 'model' });
  const unit = deps.models.unit(model);
  await forward(exchange, { unit, path: exchange.path, prefix: '', body, stream: stream === true }, deps);
}

const epochSeconds = (iso: string | undefined): number => (iso ? Math.floor(Date.parse(iso) / 1000) : 0);

const describe = ({ id, pulled, name, state, context, aliases }: ApiModel) => ({
  id,
  object: 'model',
  created: epochSeconds(pulled?.pulledAt),
  owned_by: 'sutaz',
  name,
  state,
  context_length: context,
  aliases,
});

function listModels(exchange: Exchange, { models }: OpenaiDeps): void {
  sendJson(exchange, 200, { object: 'list', data: models.list().map(describe) });
}

function showModel(exchange: Exchange, name: string, { models }: OpenaiDeps): void {
  const unit = models.unit(name);
  const model = models.list().find(({ id }) => `model/${id}` === unit);
  if (!model) throw new Fault('NOT_FOUND', `No model is called ${name}.`, { param: 'model' });
  sendJson(exchange, 200, describe(model));
}
