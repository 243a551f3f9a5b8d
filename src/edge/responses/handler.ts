import { randomBytes } from 'node:crypto';
import { askChunks, askWhole } from '../engine-call.ts';
import { parseObject, readBody, sendJson } from '../exchange.ts';
import type { Exchange } from '../exchange.ts';
import { timingHeader } from '../headers.ts';
import { seeing } from '../images.ts';
import { inManner } from '../models.ts';
import type { ModelChoice } from '../models.ts';
import type { OpenaiDeps } from '../openai.ts';
import { createResponseStream, encode, responseFrom } from './answer.ts';
import { responsesCall } from './request.ts';

/** A comment, which every reader of server-sent events passes over. */
const waiting = ': waking\n\n';

/** OpenAI's responses, of which nothing is kept: each request brings its whole conversation. */
export async function handleResponses(exchange: Exchange, deps: OpenaiDeps): Promise<void> {
  const asked = parseObject(await readBody(exchange, deps.limits().body));
  const { model, body, stream, echo, image } = responsesCall(asked);
  const call = {
    choices: seeing(deps.models.choose(model, 'openai.chat'), image),
    path: '/v1/chat/completions',
    body: (choice: ModelChoice) => inManner(body, choice, 'openai.chat'),
    names: { max_tokens: 'max_output_tokens', messages: 'input', response_format: 'text.format' },
  };
  const created = Math.floor(deps.clock.wall() / 1000);
  const named = { id: randomBytes(12).toString('hex'), model, created, echo };
  if (!stream) {
    const { answer, timing } = await askWhole(exchange, call, deps);
    return sendJson(exchange, 200, responseFrom(answer, named), timingHeader(timing));
  }
  const events = createResponseStream(named);
  const taker = {
    contentType: 'text/event-stream; charset=utf-8',
    waiting,
    chunk: (chunk: Readonly<Record<string, unknown>>) => events.push(chunk).map(encode).join(''),
  };
  await askChunks(exchange, call, taker, deps);
  exchange.res.end(events.end().map(encode).join(''));
}
