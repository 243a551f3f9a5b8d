import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatDuration, parseBytes, parseDuration } from './quantities.ts';

describe('parseBytes', () => {
  it.each([
    ['0', 0],
    ['1024', 1024],
    ['512b', 512],
    ['256MiB', 256 * 2 ** 20],
    ['256 mib', 256 * 2 ** 20],
    ['4g', 4 * 2 ** 30],
    ['4G', 4 * 2 ** 30],
    ['1.5GB', 1_500_000_000],
    ['1kb', 1_000],
    ['1k', 1_024],
    [' 2TiB ', 2 * 2 ** 40],
  ])('reads %s', (text, bytes) => expect(parseBytes(text)).toBe(bytes));

  it.each(['', 'MiB', '-1', '1,5GB', '1e3', '4gigs', '5 constructor', '5 toString', '99999999TiB', '1..5k', '٣'])(
    'refuses %j',
    (text) => expect(parseBytes(text)).toBeNull(),
  );

  it('gives a non-negative safe integer or null, whatever the text', () => {
    const texts = fc.oneof(
      fc.string(),
      fc.tuple(fc.double(), fc.string()).map(([n, unit]) => `${n}${unit}`),
    );
    fc.assert(
      fc.property(texts, (text) => {
        const bytes = parseBytes(text);
        expect(bytes === null || (Number.isSafeInteger(bytes) && bytes >= 0)).toBe(true);
      }),
    );
  });
});

describe('parseDuration', () => {
  it.each([
    ['500ms', 500],
    ['0s', 0],
    ['30s', 30_000],
    ['1.5h', 5_400_000],
    ['10 m', 600_000],
    ['1d', 86_400_000],
  ])('reads %s', (text, ms) => expect(parseDuration(text)).toBe(ms));

  it.each(['', '10', 's', '1w', '-1s', '5constructor', '10M', '1h30m'])('refuses %j', (text) =>
    expect(parseDuration(text)).toBeNull(),
  );
});

describe('formatBytes', () => {
  it.each([
    [0, '0 B'],
    [1_023, '1023 B'],
    [1_536, '1.5 KiB'],
    [2 ** 20 - 1, '1 MiB'],
    [256 * 2 ** 20, '256 MiB'],
    [1.25 * 2 ** 30, '1.25 GiB'],
    [12.34 * 2 ** 30, '12.3 GiB'],
    [9.999 * 2 ** 20, '10 MiB'],
    [3 * 2 ** 50, '3072 TiB'],
    [-2048, '-2 KiB'],
  ])('writes %d', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  it('can be read back to within a hundredth', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 2 ** 50 }), (bytes) => {
        const back = parseBytes(formatBytes(bytes)) ?? NaN;
        expect(Math.abs(back - bytes)).toBeLessThanOrEqual(bytes / 100);
      }),
    );
  });
});

describe('formatDuration', () => {
  it.each([
    [0, '0 ms'],
    [340.4, '340 ms'],
    [999.6, '1 s'],
    [1_250, '1.3 s'],
    [9_960, '10 s'],
    [12_000, '12 s'],
    [59_600, '1 min'],
    [180_000, '3 min'],
    [3_590_000, '1 h'],
    [9_000_000, '2.5 h'],
  ])('writes %d', (ms, text) => expect(formatDuration(ms)).toBe(text));
});
