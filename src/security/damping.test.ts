import { describe, expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { createDamping, networkOf } from './damping.ts';

const opened = (most?: number) => {
  const clock = fakeClock();
  return { clock, damping: createDamping({ clock, tries: 3, perMs: 1_000, ...(most === undefined ? {} : { most }) }) };
};

describe('an address with wrong keys', () => {
  it('waits after so many, and for so long', () => {
    const { clock, damping } = opened();
    expect([damping.wrong('a'), damping.wrong('a'), damping.wait('a')]).toEqual([false, false, null]);
    expect([damping.wrong('a'), damping.wait('a'), damping.wait('b')]).toEqual([true, 1, null]);
    clock.advance(999);
    expect(damping.wait('a')).toBe(1);
    clock.advance(1);
    expect([damping.wait('a'), damping.wrong('a')]).toEqual([null, true]);
    clock.advance(60_000);
    expect([damping.wrong('a'), damping.wait('a')]).toEqual([false, null]);
  });

  it('waits no longer for going on meanwhile', () => {
    const { clock, damping } = opened();
    for (let i = 0; i < 1_000; i++) damping.wrong('a');
    expect(damping.wait('a')).toBe(1);
    clock.advance(1_000);
    expect(damping.wait('a')).toBeNull();
  });

  it('is one of so many that are remembered: the one heard of longest ago is forgotten', () => {
    const { damping } = opened(2);
    for (const address of ['a', 'a', 'a', 'b', 'b', 'b']) damping.wrong(address);
    expect([damping.wait('a'), damping.wait('b')]).toEqual([1, 1]);
    damping.wrong('c');
    expect([damping.wait('a'), damping.wait('b')]).toEqual([null, 1]);
  });
});

it.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2'],
  ['2001:DB8::1', '2001:db8:0:0'],
  ['fe80::1%eth0', 'fe80:0:0:0'],
  ['::1', '0:0:0:0'],
])('%s counts as %s', (address, network) => expect(networkOf(address)).toBe(network));
