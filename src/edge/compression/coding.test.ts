import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import zlib from 'node:zlib';
import { codingFor, createPacker, isCompressible, pack } from './coding.ts';
import type { Coding } from './coding.ts';
import { hasIt } from './fixed.ts';

const all: readonly Coding[] = ['br', 'zstd', 'gzip'];
const unpacked = (bytes: Buffer, coding: Coding): Buffer =>
  ({ br: zlib.brotliDecompressSync, zstd: zlib.zstdDecompressSync, gzip: zlib.gunzipSync })[coding](bytes);

describe('the coding of an answer', () => {
  it.each([
    [undefined, null],
    ['', null],
    ['gzip, deflate, br, zstd', 'br'],
    ['gzip', 'gzip'],
    ['GZIP;Q=0.5', 'gzip'],
    ['br;q=0.1, gzip;q=0.9', 'gzip'],
    ['br;q=0, *', 'zstd'],
    ['*;q=0', null],
    ['gzip;q=0', null],
    ['identity', null],
    ['identity, gzip;q=0.5', null],
    ['deflate, compress', null],
    ['br;q=high', null],
  ])('%j is %s', (accept, coding) => expect(codingFor(accept, all)).toBe(coding));

  it('is never one that the client refuses, whatever it says', () => {
    const quality = fc.constantFrom('', ';q=0', ';q=0.0', ';q=0.5', ';q=1');
    const offered = fc.constantFrom<string>(...all, 'identity', '*', 'deflate', 'x');
    fc.assert(
      fc.property(fc.uniqueArray(fc.tuple(offered, quality), { selector: ([name]) => name }), (said) => {
        const coding = codingFor(said.map(([name, q]) => name + q).join(', '), all);
        const worth = (name: string) => said.find(([one]) => one === name)?.[1].replace(/^$/, ';q=1');
        if (coding === null) return;
        expect(Number((worth(coding) ?? worth('*') ?? ';q=0').slice(3))).toBeGreaterThan(0);
      }),
    );
    fc.assert(fc.property(fc.string(), (said) => [...all, null].includes(codingFor(said, all))));
  });

  it.each(all)('%s gives back what was packed, at once and bit by bit', async (coding) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 3_000 }), { maxLength: 8 }),
        fc.boolean(),
        async (bits, flushes) => {
          const whole = Buffer.concat(bits);
          expect(unpacked(await pack(whole, coding, 'once'), coding).equals(whole)).toBe(true);
          const packer = createPacker(coding, flushes);
          for (const bit of bits) packer.write(bit);
          packer.end();
          expect(unpacked(Buffer.concat(await packer.toArray()), coding).equals(whole)).toBe(true);
        },
      ),
      { numRuns: 20 },
    );
  });

  it('is for text alone, and not for what comes event by event', () => {
    const yes = [
      'text/html; charset=utf-8',
      'Application/JSON',
      'application/problem+json',
      'image/svg+xml',
      'text/css',
    ];
    const no = ['text/event-stream', 'application/x-ndjson', 'image/png', 'font/woff2', 'application/zip', ''];
    expect([yes.filter(isCompressible), no.filter(isCompressible)]).toEqual([yes, []]);
  });
});

describe('If-None-Match', () => {
  it.each([
    [undefined, false],
    ['*', true],
    ['"a-br"', true],
    ['W/"a-br"', true],
    ['"x", W/"a-br"', true],
    ['"a"', false],
    ['a-br', false],
    ['"x,a-br"', false],
  ])('%j: %s', (given, has) => expect(hasIt(given, '"a-br"')).toBe(has));
});
