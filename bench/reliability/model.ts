import { once } from 'node:events';
import { createServer } from 'node:http';
import type { ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ModelServer {
  readonly url: string;
  /** The definitions of the model `said` on it. */
  readonly definitions: Readonly<Record<string, string>>;
  close(): void;
}

const tokens = 20;
const tokenMs = 10;
const chunk = (delta: object, reason: string | null = null): string =>
  JSON.stringify({
    ...{ id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1, model: 'said' },
    choices: [{ index: 0, delta, finish_reason: reason }],
  });

function stream(res: ServerResponse): void {
  res.writeHead(200, { 'content-type': 'text/event-stream' });
  let count = 0;
  const timer = setInterval(() => {
    if (count++ < tokens) return void res.write(`data: ${chunk({ content: 'word ' })}\n\n`);
    clearInterval(timer);
    res.end(`data: ${chunk({}, 'stop')}\n\ndata: [DONE]\n\n`);
  }, tokenMs);
  res.on('close', () => clearInterval(timer));
}

const whole = JSON.stringify({
  ...{ id: 'chatcmpl-1', object: 'chat.completion', created: 1, model: 'said' },
  choices: [{ index: 0, message: { role: 'assistant', content: 'word' }, finish_reason: 'stop' }],
  usage: { prompt_tokens: 5, completion_tokens: 1, total_tokens: 6 },
});

/** A server with OpenAI's API whose model always says the same, at the pace of a small one. */
export async function startModel(): Promise<ModelServer> {
  const server = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (text: string) => (body += text));
    req.on('end', () => {
      if (req.method === 'POST' && body.includes('"stream":true')) return stream(res);
      res.setHeader('content-type', 'application/json');
      res.end(req.method === 'POST' ? whole : '{"object":"list","data":[{"id":"said","object":"model"}]}');
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const definition = `id: said
name: Said
summary: A model that always says the same
engine: upstream
remote: { url: '${url}' }
slots: 64
size: 0
`;
  return {
    url,
    definitions: { 'models/said.yaml': definition },
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}
