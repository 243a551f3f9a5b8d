import { describe, expect, it } from 'vitest';
import { fits, parseVersion, type Version } from './python-versions.ts';

describe('a range of Python versions', () => {
  it.each<[string, string, boolean]>([
    ['>=3.10,<3.13', '3.10.0', true],
    ['>=3.10,<3.13', '3.12.9', true],
    ['>=3.10,<3.13', '3.13.0', false],
    ['>=3.10, <3.13', '3.9.18', false],
    ['3.12', '3.12.1', true],
    ['3.12', '3.11.7', false],
    ['==3.11.*', '3.11.7', true],
    ['==3.11', '3.11.7', false],
    ['==3.11', '3.11.0', true],
    ['!=3.9.7', '3.9.7', false],
    ['!=3.9.*', '3.9.7', false],
    ['~=3.11', '3.12.0', true],
    ['~=3.11', '4.0.0', false],
    ['~=3.11.2', '3.11.7', true],
    ['~=3.11.2', '3.12.0', false],
    ['<=3.12', '3.12.0', true],
    ['<=3.12', '3.12.1', false],
    ['>3.12', '3.12.1', true],
    ['>=3.9', '3.10.1', true],
    ['', '2.7.18', true],
    ['*', '3.14.0', true],
  ])('%s with %s: %s', (range, version, expected) => {
    expect(fits(parseVersion(version) as Version, range)).toBe(expected);
  });

  it.each(['>=3.x', 'python3', '=>3.10', '>=3.10.*', '3.10 - 3.12'])('refuses %s, saying how to write it', (range) => {
    expect(() => fits([3, 11, 0], range)).toThrow(`"${range}" is no range`);
  });

  it('is read from what an interpreter says', () => {
    expect(parseVersion('Python 3.13.0rc1')).toEqual([3, 13, 0]);
    expect(parseVersion('uv 0.13.9 (abc 2026-11-10)')).toEqual([0, 13, 9]);
    expect(parseVersion('3.15')).toEqual([3, 15, 0]);
    expect(parseVersion('none')).toBeNull();
  });
});
