import { describe, expect, it } from 'vitest';
import { chanceInSlot, createProfile, loadProfile, noteSlot, saveProfile, slotAt, slotMs } from './profile.ts';
import type { Profile } from './profile.ts';

const perDay = 48;
const ten = 20;

/** Someone was there on each of those days, and it happened at ten on those for which `happens` says so. */
function watch(days: number, happens: (day: number) => boolean): { profile: Profile; seen: Profile } {
  const [profile, seen] = [createProfile(), createProfile()];
  for (let day = 0; day < days; day++) {
    for (let slot = 0; slot < perDay; slot++) noteSlot(seen, day * perDay + slot);
    if (happens(day)) noteSlot(profile, day * perDay + ten);
  }
  return { profile, seen };
}
const chance = ({ profile, seen }: { profile: Profile; seen: Profile }, day: number, slot = ten) =>
  chanceInSlot(profile, seen, day * perDay + slot);

describe('a profile', () => {
  it('knows the half hour of a local time', () => {
    expect([slotAt(0), slotAt(slotMs - 1), slotAt(slotMs)]).toEqual([0, 0, 1]);
  });

  it('learns what happens every day, and only at that time', () => {
    const daily = watch(14, () => true);
    expect(chance(daily, 14)).toBeGreaterThan(0.7);
    expect(chance(daily, 14, ten + 1)).toBe(0);
  });

  it('learns days of the week', () => {
    const working = watch(28, (day) => day % 7 < 5);
    expect(chance(working, 28)).toBeGreaterThan(0.7);
    expect(chance(working, 28 + 5)).toBeLessThan(0.4);
  });

  it('forgets what does not happen any more', () => {
    const before = watch(28, (day) => day < 14);
    expect(chance(before, 28)).toBeLessThan(0.3);
  });

  it('counts a half hour once', () => {
    const [once, often] = [watch(3, () => true), watch(3, () => true)];
    noteSlot(often.profile, 2 * perDay + ten);
    expect(chance(often, 3)).toBe(chance(once, 3));
  });

  it('is the same after it was kept', () => {
    const daily = watch(10, (day) => day % 2 === 0);
    const kept = loadProfile(JSON.parse(JSON.stringify(saveProfile(daily.profile))) as never);
    expect(chanceInSlot(kept, daily.seen, 10 * perDay + ten)).toBeCloseTo(chance(daily, 10), 2);
  });
});
