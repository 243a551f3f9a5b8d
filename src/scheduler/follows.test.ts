import { describe, expect, it } from 'vitest';
import { unitId } from '#kernel/ids';
import { createFollows, noteAsked } from './follows.ts';
import type { Follows } from './follows.ts';

const unit = (name: string) => unitId('model', name);

/** Asks for one after the other; what is expected in the end. */
function ask(follows: Follows, names: string, principal = 'ada', pauseMs = 1_000) {
  let expected = null;
  for (const [i, name] of [...names].entries()) {
    expected = noteAsked(follows, principal, unit(name), i * pauseMs).expected;
  }
  return expected;
}

describe('what follows what', () => {
  it('is learned from few repetitions', () => {
    expect(ask(createFollows(), 'abab')).toBeNull();
    expect(ask(createFollows(), 'abababa')).toMatchObject({ unit: unit('b') });
    expect(ask(createFollows(), 'abcabcabcab')).toMatchObject({ unit: unit('c') });
  });

  it('is nothing where anything may follow', () => {
    expect(ask(createFollows(), 'abacadaeafaba')).toBeNull();
  });

  it('is nothing where it takes long', () => {
    expect(ask(createFollows(), 'abababa', 'ada', 120_000)).toMatchObject({ unit: unit('b') });
    expect(ask(createFollows(), 'abababa', 'ada', 120_001)).toBeNull();
  });

  it('changes with what is asked for', () => {
    expect(ask(createFollows(), `${'ab'.repeat(10)}${'ac'.repeat(10)}a`)).toMatchObject({ unit: unit('c') });
  });

  it('is each principal’s own', () => {
    const follows = createFollows();
    ask(follows, 'ababababa');
    expect(ask(follows, 'a', 'bob')).toBeNull();
  });

  it('remembers a bounded number of principals, contexts and successors: those that came up last', () => {
    const follows = createFollows();
    for (let i = 0; i < 300; i++) noteAsked(follows, `p${i}`, unit('a'), 0);
    expect([follows.askers.size, follows.askers.has('p0'), follows.askers.has('p299')]).toEqual([256, false, true]);
    for (let i = 0; i < 200; i++) {
      noteAsked(follows, 'ada', unit(`u${i}`), 0);
      noteAsked(follows, 'ada', unit('a'), 0);
    }
    const ada = follows.askers.get('ada');
    expect(ada?.after.size).toBe(64);
    expect(ada?.after.get(unit('a'))?.weights.size).toBe(8);
  });
});
