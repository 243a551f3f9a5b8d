import { describe, expect, it } from 'vitest';
import { matchVersion, parseReference } from './reference.ts';

const [one, two, other] = [`${'a'.repeat(20)}${'1'.repeat(44)}`, `${'a'.repeat(20)}${'2'.repeat(44)}`, 'b'.repeat(64)];
const versions = [one, two, other].map((sha256) => ({ sha256 }));

describe('a reference to a version', () => {
  it.each([
    ['smollm2:135m', { name: 'smollm2:135m', digest: null }],
    [`smollm2:135m@sha256:${other}`, { name: 'smollm2:135m', digest: other }],
    ['a@sha256:BBBBBBBBBBBB', { name: 'a', digest: 'b'.repeat(12) }],
    ['a@bbbbbbbbbbbb', { name: 'a', digest: 'b'.repeat(12) }],
  ])('reads %s', (text, reference) => expect(parseReference(text)).toEqual(reference));

  it.each(['a@', 'a@sha256:', 'a@sha256:bbbbbbbbbbb', 'a@sha256:xyzxyzxyzxyz', `a@${'b'.repeat(65)}`, 'a@b@c'])(
    'refuses %s',
    (text) => expect(() => parseReference(text)).toThrow(expect.objectContaining({ code: 'BAD_REQUEST' })),
  );

  it('finds the one that begins so', () => {
    expect(matchVersion('m', 'b'.repeat(12), versions)).toEqual({ sha256: other });
    expect(matchVersion('m', one, versions)).toEqual({ sha256: one });
  });

  it('refuses what several begin with, with all of them told apart', () => {
    expect(() => matchVersion('m', 'a'.repeat(20), versions)).toThrow(
      expect.objectContaining({
        code: 'BAD_REQUEST',
        message: `sha256:${'a'.repeat(20)} is more than one version of m: sha256:${one.slice(0, 24)}, sha256:${two.slice(0, 24)}.`,
      }),
    );
  });

  it('names those there are when none does', () => {
    expect(() => matchVersion('m', 'c'.repeat(12), versions)).toThrow(/Its versions here: sha256:a{16}, .*b{16}\./);
    expect(() => matchVersion('m', 'c'.repeat(12), [])).toThrow(/No version of it is here/);
  });
});
