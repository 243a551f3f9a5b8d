/** The least that Node's own server can do: `static.ts PORT` answers everything with the 594 bytes of mock.c. */
import { createServer } from 'node:http';

const content = 'The quick brown fox jumps over the lazy dog. '.repeat(8).slice(0, 330);
const body = Buffer.from(
  `{"id":"chatcmpl-0123456789abcdef","object":"chat.completion","created":1730000000,"model":"mock-model",` +
    `"choices":[{"index":0,"message":{"role":"assistant","content":"${content}"},"finish_reason":"stop"}],` +
    `"usage":{"prompt_tokens":32,"completion_tokens":64,"total_tokens":96}}`,
);

createServer((req, res) => {
  req.on('data', () => undefined);
  req.on('end', () => {
    res.writeHead(200, ['content-type', 'application/json', 'content-length', String(body.byteLength)]);
    res.end(body);
  });
}).listen(Number(process.argv[2]), '127.0.0.1', 1024);
