import { formatBytes } from '#kernel/quantities';
import { residentUntil } from './account.ts';
import { before, claimOf, headOf } from './claims.ts';
import type { Claim } from './claims.ts';
import {
  cardNeedOf,
  cardPools,
  chooseRoom,
  giveBackOn,
  isFreeOn,
  missingOn,
  othersFixedOn,
  takeOn,
  vramNeedOf,
} from './devices.ts';
import type { CardNeed, CardPools, Lack } from './devices.ts';
import { allEvictable, evictable, isMany, mayYield, optionsOf } from './eviction.ts';
import { begin, putToSleep, refuse, thaw } from './moves.ts';
import type { Queued } from './queue.ts';
import { copyWorthMs } from './scaling.ts';
import { chargedOf, fixedOf, isSpeculative, needOf, reasonFor, reservationOf } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Effect, Refusal, Sum } from './types.ts';
import type { Candidate, Choice, Option } from './victims.ts';

/** The memory that is still to hand out in this round. Taken from what is free first, then from what is coming. */
interface Pool {
  /** Below zero while more is charged than the limit allows: what comes in fills that first. */
  free: number;
  /** Bytes of units that are stopping or being frozen. */
  incoming: number;
  /** What the units that may be evicted can do, once somebody asked. */
  idle: readonly Candidate<Unit>[] | null;
  /** Not only of the most promising ones. */
  all: readonly Candidate<Unit>[] | null;
  /** The same for each graphics card. */
  readonly cards: CardPools;
}

const left = (pool: Pool): number => pool.free + pool.incoming;

function take(pool: Pool, bytes: number): void {
  const now = Math.min(Math.max(0, pool.free), bytes);
  pool.free -= now;
  pool.incoming -= bytes - now;
}

/** Claims that one round looks at. Those behind so many others get their turn once these had theirs. */
const lookahead = 64;

/** The first aged claim that busy units stand in the way of, and what it lacks. */
export interface Blocked extends Lack {
  readonly claim: Claim;
}

/**
 * Hands memory to the claims in their turn, of the machine and of a graphics card where they need both; returns the aged
 * claim that has to wait for busy units. For each claim:
 * 1. what cannot fit even with everything else gone is refused, with the bytes on both sides;
 * 2. what fits the free bytes starts;
 * 3. what fits once the units that are stopping are gone waits, and keeps those bytes to itself;
 * 4. what fits once idle units make room puts those to sleep that cost the least, and waits as in 3;
 * 5. what only busy units stand in the way of waits. Until it has aged, smaller claims may use the bytes meanwhile;
 *    then nobody overtakes it: nothing more is handed out or evicted for those behind it, and the units whose bytes it
 *    waits for take no new work until it had its turn (`inTheWay`).
 */
export function admit(state: State, now: number, effects: Effect[]): Blocked | null {
  if (state.pressure === 'admission') return null;
  const turn = state.claims.slice(0, lookahead);
  const { charged, incoming } = state.totals;
  const pool: Pool = { free: state.limitBytes - charged, incoming, idle: null, all: null, cards: cardPools(state) };
  let blocked: Blocked | null = null;
  for (const unit of turn) {
    // It may just have been stopped for one before it: main memory may be free all the same where that one needed a card.
    if (unit.booked.claim === null) continue;
    if (turnAway(unit, state, effects)) continue; // 1
    const claim = claimOf(unit);
    const need = needOf(unit);
    const card = cardNeedOf(unit, pool.cards);
    if (need <= Math.max(0, pool.free) && isFreeOn(card)) {
      grantMemory(claim, state, now, effects); // 2
    } else if (missingIn(need, pool) <= 0 && missingOn(card) <= 0) {
      // 3
    } else if (blocked === null && makeRoom(claim, lackOf(need, card, pool), pool, state, now, effects)) {
      // 4
    } else if (blocked === null && claim.aged) {
      blocked = { claim, ...lackOf(need, card, pool) }; // 5
    } else {
      continue;
    }
    take(pool, Math.min(need, Math.max(0, left(pool))));
    takeOn(card);
  }
  // A pinned unit that started after someone's turn may hold for good what that one waits for.
  for (const unit of turn) if (unit.booked.claim) turnAway(unit, state, effects);
  return blocked;
}

/** Nothing is missing to what needs nothing, also while more is charged than the limit allows. */
const missingIn = (need: number, pool: Pool): number =>
  need <= Math.max(0, pool.free) ? 0 : Math.max(0, need - left(pool));

const lackOf = (need: number, card: CardNeed | null, pool: Pool): Lack => ({
  bytes: missingIn(need, pool),
  card: card && { device: card.device, bytes: missingOn(card) },
});

/** Whether the waiter has its turn before the claim. Nobody has before a core unit. */
export function precedes(waiter: Queued, { unit, head }: Claim): boolean {
  if (unit.spec.tier === 'core') return false;
  return !head || waiter.rank < head.rank || (waiter.rank === head.rank && waiter.seq < head.seq);
}

function turnAway(unit: Unit, state: State, effects: Effect[]): boolean {
  const need = reservationOf(unit);
  const fixed = state.totals.fixed - fixedOf(unit);
  const fits = need <= Math.max(0, state.limitBytes - fixed);
  const refusal = fits ? tooLargeForCard(unit, state) : tooLarge(unit, need, fixed, state);
  if (!refusal) return false;
  unit.intent = false;
  unit.reason = { code: 'failed', message: refusal.message };
  refuse(unit, refusal, state, effects);
  return true;
}

function tooLarge(unit: Unit, need: number, fixed: number, state: State): Refusal {
  const held = fixed > 0 ? `, of which ${formatBytes(fixed)} are held by what is pinned or always on` : '';
  return {
    code: 'NO_MEMORY',
    message:
      `${unit.spec.id} needs ${formatBytes(need)} (${need} bytes) and the limit is ` +
      `${formatBytes(state.limitBytes)} (${state.limitBytes} bytes)${held}. ` +
      'Raise memory.limit, give it a smaller context, or choose a smaller one.',
    details: { neededBytes: need, limitBytes: state.limitBytes, heldBytes: fixed },
  };
}

/** What holds its part of a card already is not refused it. */
function tooLargeForCard(unit: Unit, { devices }: State): Refusal | null {
  const need = unit.phase.kind === 'frozen' ? 0 : vramNeedOf(unit);
  if (need <= 0 || !unit.spec.vram) return null;
  const { device: id } = unit.spec.vram;
  const device = devices.get(id);
  const fixed = device ? othersFixedOn(unit, device, id) : 0;
  const limitBytes = device?.limitBytes ?? 0;
  if (need <= Math.max(0, limitBytes - fixed)) return null;
  const held = fixed > 0 ? `, of which ${formatBytes(fixed)} are held by what is pinned or always on` : '';
  return {
    code: 'NO_MEMORY',
    message:
      `${unit.spec.id} needs ${formatBytes(need)} (${need} bytes) on ${id}, where units may hold ` +
      `${formatBytes(limitBytes)} (${limitBytes} bytes)${held}. ` +
      'Free some of the card, or run it on the CPU with gpu: off.',
    details: { neededBytes: need, limitBytes, heldBytes: fixed, device: id },
  };
}

function grantMemory({ unit, head }: Claim, state: State, now: number, effects: Effect[]): void {
  const reason = reasonFor(unit, head);
  if (unit.phase.kind === 'frozen') return thaw(unit, reason, state, now, effects);
  unit.reason = reason;
  begin(unit, state, now, effects);
}

function makeRoom(claim: Claim, lack: Lack, pool: Pool, state: State, now: number, effects: Effect[]): boolean {
  let candidates = claim.aged ? unleased(claim, state, now) : (pool.idle ??= evictable(state, now));
  let choice = chooseRoom(lack, candidates);
  if (!choice && !claim.aged && isMany(state)) {
    candidates = pool.all ??= allEvictable(state, now);
    choice = chooseRoom(lack, candidates);
  }
  // Nothing is put to sleep for a copy that costs more waiting than the copy spares.
  if (!choice || (claim.unit.original && choice.costMs > copyWorthMs(claim.unit, state, now))) return false;
  pool.idle = null;
  pool.all = null;
  const sums = sumsOf(choice, choice.weighed);
  for (const option of choice.options) {
    const { unit, act, frees, costMs, device } = option;
    pool.incoming += act === 'stop' ? chargedOf(unit) : frees;
    if (act === 'stop') giveBackOn(unit, pool.cards);
    const on = device === undefined ? {} : { device };
    const reason = { code: 'evicted', for: claim.unit.spec.id, bytes: frees, ...on, costMs, sums } as const;
    putToSleep(option, reason, state, now, effects);
  }
  return true;
}

/** Of the options that were not taken, the cheapest few are remembered beside those that were. */
const remembered = 4;

function sumsOf(choice: Choice<Unit>, candidates: readonly Candidate<Unit>[]): Sum[] {
  const others: Option<Unit>[] = [];
  for (const options of candidates) {
    for (const option of options) if (!choice.options.includes(option)) remember(others, option);
  }
  return [...choice.options.map((option) => sumOf(option, true)), ...others.map((option) => sumOf(option, false))];
}

/** Keeps the cheapest few, cheapest first. */
function remember(cheapest: Option<Unit>[], option: Option<Unit>): void {
  let at = cheapest.length;
  while (at > 0 && (cheapest[at - 1]?.costMs ?? 0) > option.costMs) at--;
  if (at >= remembered) return;
  cheapest.splice(at, 0, option);
  if (cheapest.length > remembered) cheapest.pop();
}

const sumOf = ({ unit, act, frees, costMs, device }: Option<Unit>, chosen: boolean): Sum => ({
  unit: unit.spec.id,
  act,
  bytes: frees,
  ...(device !== undefined && { device }),
  costMs,
  chosen,
});

/** For an aged claim also those make room whose waiters have their turn after it. */
function unleased(claim: Claim, state: State, now: number): Candidate<Unit>[] {
  const found: Candidate<Unit>[] = [];
  for (const unit of state.awake) {
    if (unit.leases.size > 0 || unit === claim.unit || !givesWay(unit, claim, now)) continue;
    const options = optionsOf(unit, state, now);
    if (options.length > 0) found.push(options);
  }
  return found;
}

/**
 * Units that have to end their work for an aged claim: enough, and none to spare. Idle ones are among them, lest they
 * take up new work while the busy ones finish. None at all while even all of them would not do, as when one is in its
 * residency: then nothing is gained by keeping the others from work.
 */
export function inTheWay({ claim, ...lack }: Blocked, state: State, now: number): readonly Unit[] {
  const others = [...state.awake].filter((unit) => unit !== claim.unit && givesWay(unit, claim, now));
  const choice = chooseRoom(
    lack,
    others.map((unit) => optionsOf(unit, state, now)),
  );
  return choice?.options.map(({ unit }) => unit) ?? [];
}

/** A ready or frozen unit past its residency, or one that starts for a guess, that has its turn, or all of whose waiters have theirs, after the claim. */
function givesWay(unit: Unit, claim: Claim, now: number): boolean {
  if (!mayYield(unit)) return false;
  const { kind } = unit.phase;
  const rests = kind === 'frozen' || (kind === 'ready' && now >= residentUntil(unit));
  if (!rests && !isSpeculative(unit)) return false;
  const [own, other] = [unit.booked.claim, claim.unit.booked.claim];
  if (own && other) return before(other, own) < 0;
  // A frozen copy does nothing for those who wait, unless it claims memory of its own.
  const head = kind === 'frozen' ? headOf(unit) : unit.queue.line[0];
  return head === undefined || !precedes(head, claim);
}
