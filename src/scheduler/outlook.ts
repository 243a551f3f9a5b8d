import { residentUntil } from './account.ts';
import { claimOf } from './claims.ts';
import { cardNeedOf, cardPools, chooseRoom, isFreeOn, missingOn, othersFixedOn, takeOn } from './devices.ts';
import type { CardNeed, CardPools } from './devices.ts';
import { evictable, isEvictable, mayYield, mustStay, optionsOf } from './eviction.ts';
import { chargedOf, fixedOf, isIdle, isProtected, keptOf, reservationOf } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Choice } from './victims.ts';
import type { UnitId } from '#kernel/ids';

/**
 * - `now`: enough bytes are free, or it holds them already;
 * - `after-stops`: enough come back by themselves;
 * - `after-evictions`: idle units would make room at once;
 * - `when-idle`: it would wait for units that cannot yield yet;
 * - `never`: what is pinned or always on leaves too little of the limit.
 */
export type Fits = 'now' | 'after-stops' | 'after-evictions' | 'when-idle' | 'never';

/** Why a unit does not yield now. */
export type Obstacle =
  | 'core'
  | 'pinned'
  | 'starting'
  | 'freezing'
  | 'thawing'
  | 'busy'
  | 'connected'
  | 'waited-for'
  | 'just-started'
  | 'ahead';

export interface Yielding {
  readonly unit: UnitId;
  readonly act: 'freeze' | 'stop';
  readonly bytes: number;
  /** The graphics card whose bytes these are; without it they are of main memory. */
  readonly device?: string;
  readonly costMs: number;
}

/** The same of the card that the unit needs. `limit`: what all units together may hold there. */
export interface CardOutlook {
  readonly device: string;
  readonly need: number;
  readonly free: number;
  readonly coming: number;
  readonly limit: number;
}

export interface Blocker {
  readonly unit: UnitId;
  readonly why: Obstacle;
  /** Bytes it holds; of one that is ahead, those it lacks. */
  readonly bytes: number;
  /** Milliseconds until a unit that has just started may be evicted; null where the end is not known. */
  readonly forMs: number | null;
}

/** What would happen if somebody asked for the unit now. Bytes. */
export interface Outlook {
  /** What it lacks before it can serve; 0 while it holds its memory. */
  readonly need: number;
  /** What is left for it once those before it have taken theirs. */
  readonly free: number;
  /** What comes back by itself and is left for it: of units that are stopping or being frozen. */
  readonly coming: number;
  /** Null for what needs no card, or holds its part of one already. */
  readonly card: CardOutlook | null;
  /**
   * The cheapest set that would make room. With `when-idle` some of them are among the blockers and would be stopped
   * once they can be; empty when even that would not do.
   */
  readonly wouldStop: readonly Yielding[];
  /** Who holds memory and does not yield now; told only when that is what keeps the unit from starting. */
  readonly blockedBy: readonly Blocker[];
  /** The machine's memory is about to run out: nothing is started until that is over, whatever fits. */
  readonly paused: boolean;
  readonly fits: Fits;
}

/**
 * What `admit` would do for the unit if its turn came after everyone who waits already. Looks only: it changes nothing
 * and decides nothing, and so may be asked at any time. The numbers are those of the decision in `admit.ts`.
 */
export function outlookOf(unit: Unit, state: State, now: number): Outlook {
  const need = lackOf(unit);
  const paused = state.pressure === 'admission';
  const pools = cardPools(state);
  const { free, coming, waitsFor } = leftFor(unit, state, pools);
  const card = cardLackOf(unit, pools);
  const seen = { need, free: Math.max(0, free), coming, card: card && cardOutlook(card, state), paused };
  if (need <= 0 && card === null) return { ...seen, wouldStop: [], blockedBy: [], fits: 'now' };
  if (isTooLarge(unit, card, state)) {
    const blockedBy = blockers(unit, state, now).filter(({ why }) => why === 'core' || why === 'pinned');
    return { ...seen, wouldStop: [], blockedBy, fits: 'never' }; // 1
  }
  if (need <= Math.max(0, free) && isFreeOn(card)) return { ...seen, wouldStop: [], blockedBy: [], fits: 'now' }; // 2
  const missing = need <= Math.max(0, free) ? 0 : need - free - coming;
  const lack = { bytes: missing, card: card && { device: card.device, bytes: missingOn(card) } };
  if (missing <= 0 && missingOn(card) <= 0) return { ...seen, wouldStop: [], blockedBy: [], fits: 'after-stops' }; // 3
  const others = (one: readonly { readonly unit: Unit }[]) => one[0]?.unit !== unit;
  const idle = waitsFor ? null : chooseRoom(lack, evictable(state, now).filter(others));
  if (idle) return { ...seen, wouldStop: yielding(idle), blockedBy: [], fits: 'after-evictions' }; // 4
  const later = [...state.awake].filter(mayYield).map((one) => (isGoing(one) ? [] : optionsOf(one, state, now)));
  const wouldStop = yielding(chooseRoom(lack, later.filter((one) => one.length > 0).filter(others)));
  const blockedBy = [...(waitsFor ? [waitsFor] : []), ...blockers(unit, state, now)];
  return { ...seen, wouldStop, blockedBy, fits: 'when-idle' }; // 5
}

/** Bytes it needs beside those it holds. One that is being frozen holds what it keeps, and the rest is coming back. */
function lackOf(unit: Unit): number {
  const { kind } = unit.phase;
  if (kind === 'starting' || kind === 'ready' || kind === 'thawing') return 0;
  const held = kind === 'frozen' ? chargedOf(unit) : kind === 'freezing' ? keptOf(unit) : 0;
  return Math.max(0, reservationOf(unit) - held);
}

/** The same of its card; null for what needs none, or holds its part. What is stopping gives that back. */
const cardLackOf = (unit: Unit, pools: CardPools): CardNeed | null =>
  'bytes' in unit.phase && !isGoing(unit) ? null : cardNeedOf(unit, pools);

/** Even with everything else gone that may go. */
function isTooLarge(unit: Unit, card: CardNeed | null, state: State): boolean {
  if (reservationOf(unit) > Math.max(0, state.limitBytes - othersFixed(unit, state))) return true;
  const device = card && state.devices.get(card.device);
  if (!card) return false;
  return !device || card.bytes > Math.max(0, device.limitBytes - othersFixedOn(unit, device, card.device));
}

const cardOutlook = ({ device, bytes, pool }: CardNeed, { devices }: State): CardOutlook => ({
  ...{ device, need: bytes, free: Math.max(0, pool.free), coming: pool.incoming },
  limit: devices.get(device)?.limitBytes ?? 0,
});

const othersFixed = (unit: Unit, state: State): number => state.totals.fixed - fixedOf(unit);

const isGoing = (unit: Unit): boolean => unit.phase.kind === 'stopping';

interface Left {
  /** Below zero while more is charged than the limit allows. */
  readonly free: number;
  readonly coming: number;
  /** The aged claim that nobody overtakes; null when there is none. */
  readonly waitsFor: Blocker | null;
}

/** What those who have their turn before the unit leave. A claim that waits for busy units takes nothing until it aged. */
function leftFor(unit: Unit, state: State, pools: CardPools): Left {
  let free = state.limitBytes - state.totals.charged;
  let coming = state.totals.incoming;
  let waitsFor: Blocker | null = null;
  for (const before of state.claims) {
    if (before === unit) break;
    const claim = claimOf(before);
    // Who merely is to be awake comes after everyone who is waited for.
    if (!claim.head && before.spec.tier !== 'core' && !unit.booked.claim) continue;
    const lack = lackOf(before);
    const has = free + coming;
    const card = cardLackOf(before, pools);
    const lacks = lack > has || missingOn(card) > 0;
    if (lacks && (waitsFor || !claim.aged)) continue;
    if (lacks) waitsFor = { unit: before.spec.id, why: 'ahead', bytes: lack, forMs: null };
    const taken = Math.min(lack, Math.max(0, has));
    const atOnce = Math.min(Math.max(0, free), taken);
    free -= atOnce;
    coming -= taken - atOnce;
    takeOn(card);
  }
  return { free, coming, waitsFor };
}

const yielding = (choice: Choice<Unit> | null): Yielding[] =>
  (choice?.options ?? []).map(({ unit, act, frees, costMs, device }) => ({
    ...{ unit: unit.spec.id, act, bytes: frees, costMs },
    ...(device !== undefined && { device }),
  }));

function blockers(unit: Unit, state: State, now: number): Blocker[] {
  const found: Blocker[] = [];
  for (const other of state.awake) {
    if (other === unit || isGoing(other) || isEvictable(other, now)) continue;
    const why = obstacle(other);
    const forMs = why === 'just-started' ? residentUntil(other) - now : null;
    found.push({ unit: other.spec.id, why, bytes: chargedOf(other), forMs });
  }
  return found.sort((a, b) => b.bytes - a.bytes);
}

function obstacle(unit: Unit): Obstacle {
  const { kind } = unit.phase;
  if (isProtected(unit)) return unit.pinned ? 'pinned' : 'core';
  if (kind === 'starting' || kind === 'freezing' || kind === 'thawing') return kind;
  if (unit.leases.size > 0) return 'busy';
  if (mustStay(unit) && isIdle(unit)) return 'connected';
  return isIdle(unit) && !unit.booked.claim ? 'just-started' : 'waited-for';
}
