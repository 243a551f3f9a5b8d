import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mulberry32 } from '#kernel/random';
import { balances, createBalancer } from './balance.ts';
import type { Balance, Member } from './balance.ts';

const membersOf = (...weights: readonly number[]): Member[] =>
  weights.map((weight, i) => ({ id: `http://10.0.0.${i}`, weight, inFlight: 0, latencyMs: null }));
const all = () => true;
const keys = Array.from({ length: 2_000 }, (_, n) => `conversation-${n}`);
const count = (picks: readonly number[], size: number) =>
  Array.from({ length: size }, (_, i) => picks.filter((pick) => pick === i).length);

it('each way picks one that is open and has weight, whenever there is one', () => {
  const member = fc.record({
    ...{ weight: fc.constantFrom(0, 1, 2, 5), inFlight: fc.nat(50), open: fc.boolean() },
    latencyMs: fc.option(fc.nat(1_000)),
  });
  const world = fc.record({
    balance: fc.constantFrom<Balance>(...balances),
    members: fc.array(member, { minLength: 1, maxLength: 8 }),
    key: fc.option(fc.string()),
    seed: fc.nat(),
  });
  fc.assert(
    fc.property(world, ({ balance, members, key, seed }) => {
      const balancer = createBalancer(
        balance,
        members.map((one, i) => ({ ...one, id: `${i}` })),
        mulberry32(seed),
      );
      const isGood = (i: number) => members[i]?.open === true && members[i].weight > 0;
      const picked = balancer.pick((i) => members[i]?.open === true, key);
      if (members.some((_, i) => isGood(i))) expect(isGood(picked)).toBe(true);
      else expect(picked).toBe(-1);
    }),
    { numRuns: 5_000 },
  );
});

describe('round robin', () => {
  it('is even, by weight, and mixes', () => {
    const balancer = createBalancer('round-robin', membersOf(5, 1, 1), Math.random);
    const picks = Array.from({ length: 14 }, () => balancer.pick(all, null));
    expect(picks.join('')).toBe('00102000010200'.slice(0, 14));
    expect(count(picks, 3)).toEqual([10, 2, 2]);
  });

  it('goes on evenly past one that is closed', () => {
    const balancer = createBalancer('round-robin', membersOf(1, 1, 1), Math.random);
    const picks = Array.from({ length: 10 }, () => balancer.pick((i) => i !== 1, null));
    expect(count(picks, 3)).toEqual([5, 0, 5]);
  });
});

describe('least requests', () => {
  it('fills the emptier of two, by weight', () => {
    const members = membersOf(1, 1, 2);
    const balancer = createBalancer('least-requests', members, mulberry32(1));
    for (let n = 0; n < 400; n++) (members[balancer.pick(all, null)] as Member).inFlight++;
    expect(members.map(({ inFlight }) => Math.round(inFlight / 10))).toEqual([10, 10, 20]);
  });
});

describe('latency', () => {
  it('leaves the slow one nearly alone, and tries the one that nothing is known of', () => {
    const members = membersOf(1, 1, 1);
    const balancer = createBalancer('latency', members, mulberry32(2));
    (members[0] as Member).latencyMs = 10;
    (members[1] as Member).latencyMs = 200;
    const picks = Array.from({ length: 300 }, () => balancer.pick(all, null));
    const [fast, slow, unknown] = count(picks, 3) as [number, number, number];
    expect(slow).toBe(0);
    expect(unknown).toBeGreaterThan(fast);
  });
});

describe('a hash', () => {
  const pickAll = (members: readonly Member[], open: (i: number) => boolean = all) => {
    const balancer = createBalancer('hash', members, mulberry32(3));
    return keys.map((key) => members[balancer.pick(open, key)]?.id);
  };

  it('sends a key to the same place each time, and parts of about the same size to each', () => {
    const members = membersOf(1, 1, 1, 1);
    expect(pickAll(members)).toEqual(pickAll(members));
    const sizes = members.map(({ id }) => pickAll(members).filter((one) => one === id).length);
    for (const size of sizes) expect(size).toBeGreaterThan((keys.length / 4) * 0.7);
  });

  it('moves only what was at the one that went, and gives it back', () => {
    const members = membersOf(1, 1, 1, 1);
    const [before, without] = [pickAll(members), pickAll(members, (i) => i !== 2)];
    const gone = members[2]?.id;
    before.forEach((id, n) => id !== gone && expect(without[n]).toBe(id));
    expect(without).not.toContain(gone);
    expect(pickAll(members)).toEqual(before);
  });

  it('keeps every place within a quarter more than its part, however few the keys', () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...keys.slice(0, 3)), { minLength: 50, maxLength: 200 }), (asked) => {
        const members = membersOf(1, 1, 2);
        const balancer = createBalancer('hash', members, mulberry32(4));
        asked.forEach((key, n) => {
          const picked = members[balancer.pick(all, key)] as Member;
          picked.inFlight++;
          expect(picked.inFlight).toBeLessThanOrEqual(Math.ceil((1.25 * (n + 1) * picked.weight) / 4));
        });
      }),
      { numRuns: 200 },
    );
  });

  it('without a key is as even as any', () => {
    const members = membersOf(1, 1);
    const balancer = createBalancer('hash', members, mulberry32(5));
    for (let n = 0; n < 100; n++) (members[balancer.pick(all, null)] as Member).inFlight++;
    expect(members.map(({ inFlight }) => inFlight)).toEqual([50, 50]);
  });
});
