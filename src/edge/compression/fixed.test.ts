import { randomBytes } from 'node:crypto';
import zlib from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import { openDoor } from '../door.fake.ts';
import type { OpenDoor } from '../door.fake.ts';

let door: OpenDoor;
afterEach(() => door.close());

const script = Buffer.from('console.log("the same line again");\n'.repeat(200));
const noise = randomBytes(4_000);
const fonts = { type: 'font/woff2', etag: '"f"' };
const files = new Map([
  ['/console/index.html', { body: Buffer.from('<p>short</p>'), type: 'text/html; charset=utf-8', etag: '"1"' }],
  ['/console/assets/a.js', { body: script, type: 'text/javascript; charset=utf-8', etag: '"2"' }],
  ['/console/assets/noise.js', { body: noise, type: 'text/javascript; charset=utf-8', etag: '"3"' }],
  ['/console/assets/a.woff2', { body: script, ...fonts }],
]);
const open = async () => (door = await openDoor((_, res) => res.end(), { console: files }));

/** With the bytes as they came. */
async function got(path: string, headers: Record<string, string> = {}) {
  const { request } = await import('node:http');
  return new Promise<{ status: number | undefined; headers: Record<string, unknown>; bytes: Buffer }>(
    (resolve, reject) => {
      const asked = request(`http://127.0.0.1:${door.port}${path}`, { headers }, (res) => {
        const bits: Buffer[] = [];
        res.on('data', (bit: Buffer) => bits.push(bit));
        res.on('end', () => resolve({ status: res.statusCode, headers: res.headers, bytes: Buffer.concat(bits) }));
      });
      asked.on('error', reject).end();
    },
  );
}

describe('a file of the console', () => {
  it('is packed as the browser likes, and is another one to caches for each coding', async () => {
    await open();
    const plain = await got('/console/assets/a.js');
    expect(plain.headers).toMatchObject({ etag: '"2"', vary: 'accept-encoding' });
    expect(plain.bytes.equals(script)).toBe(true);
    const br = await got('/console/assets/a.js', { 'accept-encoding': 'gzip, deflate, br' });
    expect(br.headers).toMatchObject({ etag: '"2-br"', vary: 'accept-encoding', 'content-encoding': 'br' });
    expect(br.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(zlib.brotliDecompressSync(br.bytes).equals(script)).toBe(true);
    expect(Number(br.headers['content-length'])).toBe(br.bytes.byteLength);
    const gzip = await got('/console/assets/a.js', { 'accept-encoding': 'gzip' });
    expect([gzip.headers.etag, zlib.gunzipSync(gzip.bytes).equals(script)]).toEqual(['"2-gzip"', true]);
  });

  it('is not sent again to who has it in that coding', async () => {
    await open();
    const asked = { 'accept-encoding': 'br', 'if-none-match': '"0", W/"2-br"' };
    const same = await got('/console/assets/a.js', asked);
    expect([same.status, same.bytes.byteLength]).toEqual([304, 0]);
    expect(same.headers).toMatchObject({ etag: '"2-br"', vary: 'accept-encoding' });
    expect(same.headers['content-encoding']).toBeUndefined();
    expect((await got('/console/assets/a.js', { ...asked, 'accept-encoding': 'gzip' })).status).toBe(200);
  });

  it('goes as it is where it is short, packed in its own way, or would only grow', async () => {
    await open();
    for (const path of ['/console/', '/console/assets/a.woff2', '/console/assets/noise.js']) {
      const { headers } = await got(path, { 'accept-encoding': 'br' });
      expect([path, headers['content-encoding']]).toEqual([path, undefined]);
    }
    expect((await got('/console/', { 'accept-encoding': 'br' })).headers['cache-control']).toBe('no-cache');
  });
});

describe('the page of the description', () => {
  it('is packed too', async () => {
    await open();
    const plain = await got('/docs');
    const packed = await got('/docs', { 'accept-encoding': 'zstd' });
    expect(zlib.zstdDecompressSync(packed.bytes).equals(plain.bytes)).toBe(true);
    expect(packed.bytes.byteLength).toBeLessThan(plain.bytes.byteLength / 5);
    expect(packed.headers['content-security-policy']).toBe(plain.headers['content-security-policy']);
  });
});

describe('what is made for one request', () => {
  const key = { authorization: 'Bearer sutaz-admin' };
  const large = '# HELP a_total Words.\na_total 1\n'.repeat(1_000);

  it('is packed on its way over a network, and not on this machine', async () => {
    const local = { needsTls: () => false, trusts: () => false };
    door = await openDoor((_, res) => res.end(), { renderMetrics: () => large, peers: local });
    const here = await got('/metrics', { ...key, 'accept-encoding': 'gzip' });
    expect([here.headers['content-encoding'], here.headers.vary]).toEqual([undefined, undefined]);
    await door.close();
    door = await openDoor((_, res) => res.end(), {
      renderMetrics: () => large,
      peers: { ...local, trusts: () => true },
    });
    const there = await got('/metrics', { ...key, 'accept-encoding': 'gzip' });
    expect(there.headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'accept-encoding' });
    expect(zlib.gunzipSync(there.bytes).toString()).toBe(large);
  });
});
