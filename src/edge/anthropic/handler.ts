import { randomBytes } from 'node:crypto';
import { Fault } from '#kernel/faults';
import { isRecord } from '#kernel/json';
import { askChunks, askWhole } from '../engine-call.ts';
import { parseObject, readBody, sendJson } from '../exchange.ts';
import type { Exchange } from '../exchange.ts';
import { timingHeader } from '../headers.ts';
import { seeing } from '../images.ts';
import { inManner } from '../models.ts';
import type { ModelChoice } from '../models.ts';
import type { OpenaiDeps } from '../openai.ts';
import { createMessageStream, encode, messageOf, ping } from './answer.ts';
import { countCall, messagesCall } from './request.ts';

const addresses: Readonly<Record<string, (exchange: Exchange, deps: OpenaiDeps, body: unknown) => Promise<void>>> = {
  '/v1/messages': messages,
  '/v1/messages/count_tokens': countTokens,
};

/** Anthropic's API, as its clients speak it. */
export async function handleAnthropic(exchange: Exchange, deps: OpenaiDeps): Promise<void> {
  const { path } = exchange;
  const handle = Object.hasOwn(addresses, path) ? addresses[path] : undefined;
  if (!handle) {
    throw new Fault('NOT_FOUND', `There is no ${path}. Served here: ${Object.keys(addresses).join(', ')}.`);
  }
  await handle(exchange, deps, parseObject(await readBody(exchange, deps.limits().body)));
}

async function messages(exchange: Exchange, deps: OpenaiDeps, value: unknown): Promise<void> {
  const { model, body, stream, image } = messagesCall(value);
  const call = {
    choices: seeing(deps.models.choose(model, 'openai.chat'), image),
    path: '/v1/chat/completions',
    body: (choice: ModelChoice) => inManner(body, choice, 'openai.chat'),
    names: { stop: 'stop_sequences', response_format: 'output_config.format' },
  };
  const named = { id: `msg_${randomBytes(12).toString('hex')}`, model };
  if (!stream) {
    const { answer, timing } = await askWhole(exchange, call, deps);
    return sendJson(exchange, 200, messageOf(answer, named), {
      ...timingHeader(timing),
      'request-id': exchange.traceId,
    });
  }
  const events = createMessageStream(named);
  const taker = {
    contentType: 'text/event-stream; charset=utf-8',
    waiting: ping,
    chunk: (chunk: Readonly<Record<string, unknown>>) => events.push(chunk).map(encode).join(''),
  };
  await askChunks(exchange, call, taker, deps);
  exchange.res.end(events.end().map(encode).join(''));
}

/** By the engine's own tokens where it tells them, else by what it says of a request that wants one token. */
async function countTokens(exchange: Exchange, deps: OpenaiDeps, value: unknown): Promise<void> {
  const { model, body, image } = countCall(value);
  const choices = seeing(deps.models.choose(model, 'openai.chat'), image);
  const tells = choices.every(({ provides }) => provides.includes('tokenize'));
  const call = {
    choices,
    path: tells ? '/tokenize' : '/v1/chat/completions',
    body(choice: ModelChoice) {
      const full = inManner(body, choice, 'openai.chat');
      if (!tells) return { ...full, max_tokens: 1 };
      // Where none may be called, the model is told of none.
      return { messages: full.messages, ...(full.tool_choice === 'none' ? {} : { tools: full.tools }) };
    },
  };
  const { answer } = await askWhole(exchange, call, deps);
  const usage = isRecord(answer.usage) ? answer.usage : {};
  const tokens = Array.isArray(answer.tokens) ? answer.tokens.length : Number(usage.prompt_tokens ?? 0);
  sendJson(exchange, 200, { input_tokens: tokens });
}
