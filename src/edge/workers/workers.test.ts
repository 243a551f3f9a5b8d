import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { workersOf } from '#config/static';
import { isWholeHello } from './hello.ts';
import { createHopListener, introduced, introduction, tokenBytes } from './hop.ts';

const token = Buffer.alloc(tokenBytes, 7);
const facts = {
  ...{ remoteAddress: '192.0.2.7', remotePort: 4711, localAddress: '192.0.2.1', localPort: 443 },
  alpnProtocol: 'http/1.1',
};

describe('the introduction of a hop', () => {
  it('is read in whatever pieces it comes, and leaves what the client said', () => {
    const bytes = Buffer.concat([introduction(token, facts), Buffer.from('GET / HTTP/1.1\r\n')]);
    const length = introduction(token, facts).byteLength;
    for (let end = 0; end < length; end++) expect(introduced(bytes.subarray(0, end), token)).toBeNull();
    expect(introduced(bytes, token)).toEqual({ facts, rest: Buffer.from('GET / HTTP/1.1\r\n') });
  });

  it('is refused with any other token, however it goes on', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: tokenBytes + 2, maxLength: 200 }), (bytes) => {
        fc.pre(!token.equals(bytes.subarray(0, tokenBytes)));
        expect(introduced(Buffer.from(bytes), token)).toBe(false);
      }),
    );
  });

  it('is refused where it is too long, or no facts', () => {
    const behind = (length: number, text: string) =>
      Buffer.concat([token, Buffer.from([length >> 8, length & 255]), Buffer.from(text)]);
    expect(introduced(behind(2_000, 'x'), token)).toBe(false);
    expect(introduced(behind(4, '{"a"'), token)).toBe(false);
    expect(introduced(behind(2, '12'), token)).toBe(false);
  });
});

describe('the listener of hops', () => {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).toReversed()) await end();
  });

  async function open() {
    const folder = await mkdtemp(join(tmpdir(), 'sutaz-test-'));
    const path = join(folder, 'hop');
    const taken: Socket[] = [];
    const said: string[] = [];
    const server = createHopListener(token, (socket) => {
      taken.push(socket);
      socket.on('data', (chunk) => void said.push(String(chunk)));
    });
    await once(server.listen(path), 'listening');
    ends.push(
      () => rm(folder, { recursive: true }),
      () => server.close(),
      () => taken.forEach((socket) => socket.destroy()),
    );
    return { taken, said, path };
  }

  it("shows the client's addresses, and what it said first", async () => {
    const { taken, said, path } = await open();
    const hop = connect(path);
    hop.write(Buffer.concat([introduction(token, facts), Buffer.from('hello')]));
    await expect.poll(() => said).toEqual(['hello']);
    expect(taken[0]).toMatchObject({ ...facts, encrypted: true });
    hop.end('again');
    await expect.poll(() => said).toEqual(['hello', 'again']);
  });

  it('closes on whoever does not have the token', async () => {
    const { taken, path } = await open();
    const hop = connect(path);
    hop.on('error', () => undefined);
    hop.write(introduction(Buffer.alloc(tokenBytes, 8), facts));
    await once(hop, 'close');
    expect(taken).toEqual([]);
  });
});

describe('the hello of TLS', () => {
  it('is whole with its record, and not before', () => {
    const hello = Buffer.concat([Buffer.from([0x16, 3, 1, 1, 0]), Buffer.alloc(256)]);
    for (let end = 0; end < hello.byteLength; end++) expect(isWholeHello(hello.subarray(0, end))).toBe(false);
    expect(isWholeHello(hello)).toBe(true);
    expect(isWholeHello(Buffer.from([0x16, 3, 1, 0xff, 0xff]))).toBe(true);
  });
});

describe('the number of workers', () => {
  it.each([
    ['auto', 1, 1],
    ['auto', 2, 1],
    ['auto', 3, 2],
    ['auto', 64, 3],
    [1, 64, 1],
    [8, 2, 8],
  ] as const)('of %s on %i cores is %i', (workers, cores, count) => {
    expect(workersOf(workers, cores)).toBe(count);
  });
});
