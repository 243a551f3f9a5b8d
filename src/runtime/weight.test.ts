import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { askWeight } from './weight.ts';

async function answering(status: number, body: string): Promise<number> {
  const server = createServer((_, res) => res.writeHead(status).end(body));
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}
const ask = (port: number) => askWeight('/weight', { host: '127.0.0.1', port });

it('is the number of bytes that an instance names', async () => {
  expect(await ask(await answering(200, '{"bytes": 314572800}'))).toBe(314572800);
});

it.each([
  [500, '{"bytes": 1}'],
  [200, '{"bytes": -1}'],
  [200, '{"bytes": "1"}'],
  [200, 'no JSON'],
])('%i %s is no answer', async (status, body) => {
  await expect(ask(await answering(status, body))).rejects.toThrow();
});
