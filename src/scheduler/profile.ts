/**
 * At what times of the day and of the week something usually happens, by half hours: not how often, but on what part of the
 * days and of the weeks it happened at all. Newer days and weeks weigh more. Times are local wall time in milliseconds.
 */
export interface Profile {
  readonly day: Times;
  readonly week: Times;
  /** The half hour that was written down last, counted from the epoch. */
  last: number;
}

interface Times {
  /** How often it happened in each half hour of the period; an older time counts less. */
  readonly counts: Float64Array;
  /** The number of the period in which each was written last. */
  readonly asOf: Int32Array;
}

export const slotMs = 30 * 60_000;
const slotsOf = { day: 48, week: 7 * 48 } as const;
/** A day counts 0.85 of the next one, and a week so much of the next week. */
const decay = 0.85;
/** A time of the week says so much more than a time of the day, once there is one. */
const weekWeight = 3;
/** So many days on which it did not happen are taken for granted: three days in a row are a habit, two are not. */
const doubt = 2;

const createTimes = (slots: number): Times => ({ counts: new Float64Array(slots), asOf: new Int32Array(slots) });

export const createProfile = (): Profile => ({
  day: createTimes(slotsOf.day),
  week: createTimes(slotsOf.week),
  last: -1,
});

export const slotAt = (localMs: number): number => Math.floor(localMs / slotMs);

/** It happens in that half hour; a second time in the same one says nothing new. */
export function noteSlot(profile: Profile, slot: number): void {
  if (slot === profile.last) return;
  profile.last = slot;
  add(profile.day, slot);
  add(profile.week, slot);
}

function add(times: Times, slot: number): void {
  const at = slot % times.counts.length;
  times.counts[at] = countOf(times, slot) + 1;
  times.asOf[at] = Math.floor(slot / times.counts.length);
}

function countOf({ counts, asOf }: Times, slot: number): number {
  const at = slot % counts.length;
  const periods = Math.floor(slot / counts.length) - (asOf[at] ?? 0);
  return (counts[at] ?? 0) * decay ** Math.max(0, periods);
}

/** The chance, 0 to 1, that it happens in that half hour. `seen`: the half hours in which anybody was there to see. */
export function chanceInSlot(profile: Profile, seen: Profile, slot: number): number {
  const happened = countOf(profile.day, slot) + weekWeight * countOf(profile.week, slot);
  const looked = countOf(seen.day, slot) + weekWeight * countOf(seen.week, slot);
  return happened / (looked + doubt);
}

/** What is kept over restarts: the half hours with something in them, as `[index, count, period]`. */
export type SavedProfile = {
  readonly day: readonly (readonly [number, number, number])[];
  readonly week: readonly (readonly [number, number, number])[];
};

export const saveProfile = ({ day, week }: Profile): SavedProfile => ({ day: save(day), week: save(week) });

/** The half hour in which it was saved may be written down twice, which is once too often at most. */
export function loadProfile(saved: SavedProfile): Profile {
  const profile = createProfile();
  load(profile.day, saved.day);
  load(profile.week, saved.week);
  return profile;
}

const save = ({ counts, asOf }: Times): [number, number, number][] =>
  [...counts].flatMap((count, at): [number, number, number][] =>
    count > 0 ? [[at, Math.round(count * 1_000) / 1_000, asOf[at] ?? 0]] : [],
  );

function load({ counts, asOf }: Times, saved: SavedProfile['day']): void {
  for (const [at, count, period] of saved) {
    counts[at] = count;
    asOf[at] = period;
  }
}
