import type { UnitId } from '#kernel/ids';
import { noteArrival } from './arrivals.ts';
import { createFollows, noteAsked, soonMs } from './follows.ts';
import type { Asker, Follows } from './follows.ts';
import { chanceInSlot, createProfile, noteSlot, slotAt, slotMs } from './profile.ts';
import type { Profile } from './profile.ts';
import type { State, Unit } from './state.ts';
import type { Waiter } from './types.ts';

/**
 * What will probably be asked for before long, from what usually follows what and from the time of the day and week. It says
 * what to bring up while memory is free (`prewarm.ts`); which units make room is decided without it.
 */
export interface Forecast {
  readonly follows: Follows;
  readonly profiles: Map<UnitId, Profile>;
  /** When anybody was there to see. */
  readonly seen: Profile;
  /** Local wall time less the scheduler's clock; null until somebody says what time it is. Milliseconds. */
  offsetMs: number | null;
  /** When it looks next at what the coming half hour usually brings. */
  looksAt: number;
  /** What is worth bringing up. */
  readonly guesses: Map<Unit, Guess>;
  readonly tally: Tally;
}

/** A unit that nobody asked for is expected to be asked for. */
export interface Guess {
  readonly chance: number;
  readonly because: 'follows' | 'time';
  /** After that it was wrong. */
  readonly until: number;
  /** Whose next request it is about; null when it is the time. */
  readonly asker: Asker | null;
}

/** What guesses came to. Kept while the platform runs. */
export interface Tally {
  /** Brought up, and asked for after that; or put to sleep, or ended, before anybody asked. */
  hits: number;
  misses: number;
  /** Bytes taken for a guess times the milliseconds until somebody asked, or they were given back. */
  byteMs: number;
}

export const createForecast = (seen = createProfile()): Forecast => ({
  follows: createFollows(),
  profiles: new Map(),
  seen,
  offsetMs: null,
  looksAt: Infinity,
  guesses: new Map(),
  tally: { hits: 0, misses: 0, byteMs: 0 },
});

/** Below an even chance nothing is brought up for a guess. */
const leastChance = 0.5;
/** So long before a half hour begins what it usually brings is made ready. */
const leadMs = 2 * 60_000;

/** Expects nothing any more; what was learned stays. */
export function forgetGuesses({ forecast }: State): void {
  forecast.guesses.clear();
  forecast.looksAt = Infinity;
}

/** Says what time it is for people: local wall time, in milliseconds since the epoch there. */
export function setTime(state: State, localMs: number, now: number): void {
  const { forecast } = state;
  if (!state.settings.prediction) return;
  forecast.offsetMs = localMs - now;
  const next = (slotAt(localMs + leadMs) + 1) * slotMs - leadMs;
  forecast.looksAt = next - forecast.offsetMs;
}

/** Learns from a request, and says whether something is now worth bringing up that was not. */
export function noteRequest(state: State, unit: Unit, { principal }: Waiter, now: number): boolean {
  noteArrival(unit.arrivals, now);
  met(state, unit, now);
  if (!state.settings.prediction) return false;
  const { forecast } = state;
  if (forecast.offsetMs !== null) noteTime(forecast, unit.spec.id, slotAt(now + forecast.offsetMs));
  const asker = noteAsked(forecast.follows, principal, unit.spec.id, now);
  const next = asker.expected && state.units.get(asker.expected.unit);
  if (!asker.expected || !next || !isAsleep(next)) return false;
  const { chance } = asker.expected;
  forecast.guesses.set(next, { chance, because: 'follows', until: now + soonMs, asker });
  return true;
}

const isAsleep = ({ phase }: Unit): boolean => phase.kind === 'cold' || phase.kind === 'frozen';

function noteTime({ profiles, seen }: Forecast, unit: UnitId, slot: number): void {
  noteSlot(seen, slot);
  let profile = profiles.get(unit);
  if (!profile) profiles.set(unit, (profile = createProfile()));
  noteSlot(profile, slot);
}

/** Looks, shortly before each half hour, at what it usually brings. */
export function lookAhead(state: State, now: number): void {
  const { forecast } = state;
  if (now < forecast.looksAt || forecast.offsetMs === null) return;
  const local = now + forecast.offsetMs;
  const slot = slotAt(local + leadMs);
  noteSlot(forecast.seen, slot - 1);
  for (const [id, profile] of forecast.profiles) {
    const unit = state.units.get(id);
    const chance = chanceInSlot(profile, forecast.seen, slot);
    if (!unit || !isAsleep(unit) || chance < leastChance) continue;
    const until = (slot + 1) * slotMs - forecast.offsetMs;
    forecast.guesses.set(unit, { chance, because: 'time', until, asker: null });
  }
  setTime(state, local, now);
}

/** Somebody asks for what was brought up for a guess. */
export function met(state: State, unit: Unit, now: number): void {
  close(state, unit, now, 'hits');
}

/** What was brought up for a guess goes before anybody asked for it. */
export function missed(state: State, unit: Unit, now: number): void {
  close(state, unit, now, 'misses');
}

function close({ forecast }: State, unit: Unit, now: number, outcome: 'hits' | 'misses'): void {
  if (!unit.guessed) return;
  forecast.tally[outcome]++;
  forecast.tally.byteMs += unit.guessed.bytes * (now - unit.guessed.since);
  unit.guessed = null;
}
