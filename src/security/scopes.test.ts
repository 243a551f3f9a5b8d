import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { builtInRoles, readScope, scopes } from '#kernel/scopes';
import type { Scope } from '#kernel/scopes';
import { allows, compileRights, covers, matches } from './scopes.ts';

const names = Object.keys(scopes) as Scope[];

describe('a scope', () => {
  it.each([
    ['*', '*'],
    ['models:use', { scope: 'models:use', pattern: null }],
    ['models:use:*', { scope: 'models:use', pattern: null }],
    ['models:use:smollm2:135m', { scope: 'models:use', pattern: 'smollm2:135m' }],
    ['services:manage:a-*', { scope: 'services:manage', pattern: 'a-*' }],
    ['keys', { scope: 'keys', pattern: null }],
  ])('%s is read', (text, read) => expect(readScope(text)).toEqual(read));

  it.each([
    ['model:use', 'model:use is not a scope. Did you mean models:use?'],
    ['nonsense!', /^nonsense! is not a scope\. Known: \*, models:use, /],
    ['keysmith', /is not a scope/],
    ['keys:mine', 'keys takes no pattern: write it as keys.'],
    ['models:use:', 'The pattern of models:use has 1 to 256 characters.'],
    ['', /is not a scope/],
  ])('%s is refused: %s', (text, problem) => {
    const read = readScope(text);
    expect(typeof read === 'object' && 'problem' in read && read.problem).toMatch(problem);
  });
});

describe('rights', () => {
  it('are for all of a kind, for some, or for none', () => {
    const rights = compileRights(['models:use:smollm2:*', 'models:use:tiny', 'services:use', 'nonsense']);
    const may = (name?: string | null) => allows(rights, 'models:use', name);
    expect([may(), may(null), may('smollm2:135m'), may('tiny'), may('tiny2'), may('gemma')]).toEqual([
      ...[true, false, true, true, false, false],
    ]);
    expect([allows(rights, 'services:use', null), allows(rights, 'services:manage')]).toEqual([true, false]);
    expect(names.filter((name) => allows(compileRights([]), name))).toEqual([]);
  });

  it('of an admin are everything, those of the other roles what they say', () => {
    const held = (role: keyof typeof builtInRoles) =>
      names.filter((name) => allows(compileRights(builtInRoles[role]), name));
    expect(held('admin')).toEqual(names);
    expect(held('operator')).not.toContain('keys');
    expect(held('user')).toEqual(['models:use', 'services:use', 'state:read', 'console']);
    expect(held('service')).toEqual(['models:use', 'services:use']);
  });

  it.each([
    [['*'], '*', true],
    [['*'], 'keys', true],
    [names, '*', true],
    [names.slice(1), '*', false],
    [['models:use'], 'models:use:x', true],
    [['models:use:x'], 'models:use', false],
    [['models:use:a*'], 'models:use:ab*', true],
    [['models:use:ab*'], 'models:use:a*', false],
    [['models:use:a*b'], 'models:use:a*', false],
    [['models:use:a'], 'services:use:a', false],
    [['keys'], 'nonsense', false],
  ])('%j may hand on %s: %s', (held, text, may) => expect(covers(compileRights(held), text)).toBe(may));

  it('property: what is handed on allows nothing that its giver may not', () => {
    const part = fc.stringMatching(/^[ab*]{1,4}$/);
    fc.assert(
      fc.property(part, part, fc.stringMatching(/^[ab]{0,5}$/), (own, given, name) => {
        const giver = compileRights([`models:use:${own}`]);
        fc.pre(covers(giver, `models:use:${given}`));
        const taker = compileRights([`models:use:${given}`]);
        return !allows(taker, 'models:use', name) || allows(giver, 'models:use', name);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a pattern', () => {
  it('property: matches what the same expression does', () => {
    const escaped = (text: string) => text.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replaceAll('*', '.*');
    fc.assert(
      fc.property(
        fc.stringMatching(/^[ab.*]{0,8}$/),
        fc.stringMatching(/^[ab.]{0,10}$/),
        (pattern, name) => matches(pattern, name) === new RegExp(`^${escaped(pattern)}$`).test(name),
      ),
      { numRuns: 3_000 },
    );
  });

  it('with many stars looks at a long name no longer than their product', () => {
    const name = 'a'.repeat(100_000);
    const began = performance.now();
    expect(matches(`${'*a'.repeat(20)}*b`, name)).toBe(false);
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});
