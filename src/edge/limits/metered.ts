import { isRecord } from '#kernel/json';
import type { Exchange } from '../exchange.ts';
import { headerOf } from '../transport/fields.ts';
import type { HeaderList } from '../transport/fields.ts';
import type { AnswerSink, UpstreamRequest, Upstreams } from '../transport/upstreams.ts';
import type { TokenCount } from './admission.ts';
import { createUsageScan } from './usage-scan.ts';
import { createUsageStream } from './usage-stream.ts';
import type { CountedRest, Shown, UsageStream } from './usage-stream.ts';

/** The upstreams for a call to an engine: those that count its tokens where a limit asks for them, else the same. */
export function metered(exchange: Exchange, upstreams: Upstreams): Upstreams {
  const tokens = exchange.admission?.tokens;
  if (!tokens) return upstreams;
  return {
    ...upstreams,
    async send(request, sink) {
      const counted = counting(sink, tokens);
      await upstreams.send(withUsage(request, tokens), counted);
      counted.end();
    },
  };
}

/** The same of all that a call needs; nothing is copied where nothing is counted. */
export const withMetered = <D extends { readonly upstreams: Upstreams }>(exchange: Exchange, deps: D): D =>
  exchange.admission?.tokens ? { ...deps, upstreams: metered(exchange, deps.upstreams) } : deps;

/** Asks the engine for its usage where a stream would not tell it. */
export function withUsage(request: UpstreamRequest, { question, continuous }: TokenCount): UpstreamRequest {
  // What is packed cannot be looked into.
  const headers = without(request.headers, 'accept-encoding');
  const { body } = request;
  if (question.stream !== true || !Buffer.isBuffer(body)) return { ...request, headers };
  const asked = isRecord(question.stream_options) ? question.stream_options : null;
  if (asked?.include_usage === true && !continuous) return { ...request, headers };
  const options = { ...asked, include_usage: true, ...(continuous ? { continuous_usage_stats: true } : {}) };
  return { ...request, headers, body: asked ? replaced(body, options) : added(body, options) };
}

/** Headers without those of one name. */
function without(headers: HeaderList, name: string): string[] {
  const kept: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (headers[i] !== name) kept.push(headers[i] as string, headers[i + 1] as string);
  }
  return kept;
}

/** A body in which it does not stand yet: put in at its end, so that nothing of it is read or written anew. */
const added = (body: Buffer, options: object): Buffer =>
  Buffer.concat([
    body.subarray(0, body.lastIndexOf('}')),
    Buffer.from(`,"stream_options":${JSON.stringify(options)}}`),
  ]);

const replaced = (body: Buffer, options: object): Buffer =>
  Buffer.from(JSON.stringify({ ...(JSON.parse(body.toString('utf8')) as object), stream_options: options }));

function shownTo({ question }: TokenCount): Shown {
  const asked = isRecord(question.stream_options) ? question.stream_options : {};
  if (asked.include_usage !== true) return 'none';
  return asked.continuous_usage_stats === true ? 'all' : 'last';
}

const countedRest = (stream: UsageStream, tokens: TokenCount): CountedRest => ({
  shown: shownTo(tokens),
  isBetween: () => stream.isBetween,
  add(events, reported) {
    tokens.events += events;
    tokens.reported = reported ?? tokens.reported;
  },
});

function counting(sink: AnswerSink, tokens: TokenCount): AnswerSink & { end(): void } {
  const onUsage = (count: number) => void (tokens.reported = count);
  let push: (chunk: Buffer) => Buffer = (chunk) => chunk;
  let stream: UsageStream | null = null;
  return {
    head(head) {
      tokens.reached = head.status < 400;
      if (headerOf(head.headers, 'content-type')?.startsWith('text/event-stream') === true) {
        stream = createUsageStream({ onUsage, onEvent: () => void tokens.events++, shown: shownTo(tokens) });
        push = stream.push;
        // Something of it may be left out: it is as long as it comes.
        return sink.head({ ...head, headers: without(head.headers, 'content-length'), framing: { kind: 'chunked' } });
      }
      if (tokens.reached) {
        const scan = createUsageScan(onUsage);
        push = (chunk) => {
          scan(chunk);
          return chunk;
        };
      }
      sink.head(head);
    },
    rest(rest) {
      // What comes in one piece is looked through for its usage here.
      if (stream) sink.rest?.({ ...rest, counted: countedRest(stream, tokens) });
    },
    data(chunk, resume) {
      const left = push(chunk);
      return left.length === 0 || sink.data(left, resume);
    },
    end() {
      const left = stream?.end();
      if (left && left.length > 0) sink.data(left, () => undefined);
    },
  };
}
