import { request } from 'node:http';
import type { EngineEndpoint } from '#contracts/engine';

/** One streamed answer, as its client saw it. Milliseconds since the request was sent. */
export interface Seen {
  readonly firstMs: number;
  readonly endMs: number;
  readonly text: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

export interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

interface Chunk {
  readonly choices: readonly { readonly delta?: { readonly content?: string | null } }[];
  readonly usage?: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number };
  } | null;
}

/** Streams a conversation's next answer: by plain HTTP, so that the client takes little of what it measures. */
export function chat(
  { url, key, model }: EngineEndpoint,
  messages: readonly Message[],
  options: { readonly maxTokens: number; readonly sampling?: object },
): Promise<Seen> {
  const body = JSON.stringify({
    ...{ model, messages, stream: true, stream_options: { include_usage: true }, max_tokens: options.maxTokens },
    ...(options.sampling ?? { temperature: 0 }),
  });
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
  const auth = key === null ? {} : { authorization: `Bearer ${key}` };
  // A connection of its own: a kept one may be closed by a server that gave it up just as it is used again.
  const sending = { method: 'POST', headers: { ...headers, ...auth }, agent: false };
  return new Promise((resolve, reject) => {
    const began = performance.now();
    const req = request(`${url}/v1/chat/completions`, sending, (res) => {
      const { statusCode = 0 } = res;
      let [rest, text, firstMs] = ['', '', NaN];
      let usage: Chunk['usage'];
      res.setEncoding('utf8').on('data', (data: string) => {
        if (statusCode !== 200) return void (rest += data);
        const lines = (rest + data).split('\n');
        rest = lines.pop() ?? '';
        for (const line of lines) {
          if (!line.startsWith('data: {')) continue;
          const chunk = JSON.parse(line.slice(6)) as Chunk;
          const content = chunk.choices[0]?.delta?.content;
          if (content) {
            text += content;
            if (Number.isNaN(firstMs)) firstMs = performance.now() - began;
          }
          usage = chunk.usage ?? usage;
        }
      });
      res.on('error', reject);
      res.on('end', () => {
        if (statusCode !== 200 || !usage)
          return reject(new Error(`status ${String(statusCode)}: ${rest.slice(0, 300)}`));
        resolve({
          ...{ firstMs, endMs: performance.now() - began, text },
          promptTokens: usage.prompt_tokens,
          cachedTokens: usage.prompt_tokens_details?.cached_tokens ?? 0,
          completionTokens: usage.completion_tokens,
        });
      });
    });
    req.on('error', reject).end(body);
  });
}
