import { chargedOf, isProtected } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Vram } from './types.ts';
import { chooseVictims } from './victims.ts';
import type { Candidate, Choice, Option } from './victims.ts';

/**
 * The account of one graphics card, in bytes, beside the one of main memory. Nothing on a card is given back by freezing:
 * a process that is stopped by a signal keeps what it holds there. So only a stop makes room on it.
 */
export interface Device {
  /** What all units together may hold there. 0 for a card that is gone. */
  limitBytes: number;
  charged: number;
  /** Of units that are stopping. */
  incoming: number;
  /** Of units that never yield. */
  fixed: number;
}

const nothing = (): Device => ({ limitBytes: 0, charged: 0, incoming: 0, fixed: 0 });

function deviceOf({ devices }: State, id: string): Device {
  const device = devices.get(id) ?? nothing();
  devices.set(id, device);
  return device;
}

/** Takes over what is said of the cards: one that is not named any more has no room. */
export function setDevices(state: State, told: readonly { readonly id: string; readonly limitBytes: number }[]): void {
  for (const device of state.devices.values()) device.limitBytes = 0;
  for (const { id, limitBytes } of told) deviceOf(state, id).limitBytes = limitBytes;
  state.stirred = true;
}

/** Bytes that the unit's next start reserves on its card: the larger of what is declared and what was learned. */
export const vramNeedOf = ({ spec, card }: Unit): number =>
  spec.vram && spec.vram.bytes > 0 ? Math.max(spec.vram.bytes, card.learned ?? 0) : 0;

/** Bytes it counts for on the card it is on: what it was admitted with, or what it is measured to hold where that is more. */
export const chargedVramOf = ({ card, phase }: Unit): number =>
  card.held && 'bytes' in phase ? Math.max(card.held.bytes, card.measured ?? 0) : 0;

/** The instance that begins now holds it from here on, whatever is described meanwhile. */
export function holdVram(unit: Unit): void {
  const bytes = vramNeedOf(unit);
  unit.card.held = unit.spec.vram && bytes > 0 ? { device: unit.spec.vram.device, bytes } : null;
}

/** The instance holds nothing there any more. */
export function dropVram({ card }: Unit): void {
  card.held = null;
  card.measured = null;
  card.peak = null;
}

/** What the unit, which holds something there, is seen to hold. */
export function measureVram({ card }: Unit, bytes: number, learning: boolean): void {
  card.measured = bytes;
  if (learning) card.peak = Math.max(card.peak ?? 0, bytes);
}

/** Keeps up the sums of its card; says whether the unit counts for something else than before. */
export function bookVram(state: State, unit: Unit): boolean {
  const { booked, card, phase } = unit;
  if (card.held === null && booked.device === null) return false;
  const device = card.held?.device ?? null;
  const charged = chargedVramOf(unit);
  const incoming = phase.kind === 'stopping' ? charged : 0;
  const fixed = isProtected(unit) && phase.kind !== 'stopping' ? charged : 0;
  const before = booked.vram;
  const same = device === booked.device && charged === before.charged;
  if (same && incoming === before.incoming && fixed === before.fixed) return false;
  if (booked.device !== null) add(deviceOf(state, booked.device), before, -1);
  booked.device = device;
  Object.assign(before, { charged, incoming, fixed });
  if (device !== null) add(deviceOf(state, device), before, 1);
  return true;
}

function add(device: Device, { charged, incoming, fixed }: Unit['booked']['vram'], sign: 1 | -1): void {
  device.charged += sign * charged;
  device.incoming += sign * incoming;
  device.fixed += sign * fixed;
}

/** What one round has to hand out on a card: as with main memory, what is free first, then what is coming. */
export interface CardPool {
  free: number;
  incoming: number;
}

export type CardPools = ReadonlyMap<string, CardPool>;

const noCards: CardPools = new Map();

export const cardPools = ({ devices }: State): CardPools =>
  devices.size === 0
    ? noCards
    : new Map(
        [...devices].map(([id, { limitBytes, charged, incoming }]) => [id, { free: limitBytes - charged, incoming }]),
      );

/** What a claim needs on a card, and what there is to hand out on it. */
export interface CardNeed extends Vram {
  readonly pool: CardPool;
}

/** Null for what needs no card, or holds its part of one already: that is so of a frozen unit. */
export function cardNeedOf(unit: Unit, pools: CardPools): CardNeed | null {
  const bytes = unit.phase.kind === 'frozen' ? 0 : vramNeedOf(unit);
  if (bytes <= 0 || !unit.spec.vram) return null;
  const { device } = unit.spec.vram;
  return { device, bytes, pool: pools.get(device) ?? { free: 0, incoming: 0 } };
}

export const isFreeOn = (need: CardNeed | null): boolean => need === null || need.bytes <= Math.max(0, need.pool.free);

/** Below or at 0 when what is free and what is coming will do. */
export const missingOn = (need: CardNeed | null): number =>
  need === null ? 0 : need.bytes - need.pool.free - need.pool.incoming;

/** Takes what it needs, or what there is. */
export function takeOn(need: CardNeed | null): void {
  if (need === null) return;
  const { pool } = need;
  const bytes = Math.min(need.bytes, Math.max(0, pool.free + pool.incoming));
  const now = Math.min(Math.max(0, pool.free), bytes);
  pool.free -= now;
  pool.incoming -= bytes - now;
}

/** A unit that is to stop gives back what it holds on its card, too. */
export function giveBackOn(unit: Unit, pools: CardPools): void {
  const pool = unit.card.held && pools.get(unit.card.held.device);
  if (pool) pool.incoming += chargedVramOf(unit);
}

/** What is lacking, by account. */
export interface Lack {
  readonly bytes: number;
  readonly card: Vram | null;
}

export interface Room extends Choice<Unit> {
  /** What was weighed for it. */
  readonly weighed: readonly Candidate<Unit>[];
}

/**
 * Units that together free what is lacking in both accounts; null when all of them would not do. First those that hold
 * bytes of the card, for the least cost; then, for what main memory still lacks once they are gone, some of the others. Each
 * choice is the cheapest; both together need not be.
 */
export function chooseRoom({ bytes, card }: Lack, candidates: readonly Candidate<Unit>[]): Room | null {
  if (card === null || card.bytes <= 0) {
    const choice = chooseVictims(bytes, candidates);
    return choice && { options: choice.options, costMs: choice.costMs, frees: choice.frees, weighed: candidates };
  }
  const holders = candidates.flatMap((options) => onCard(options, card.device));
  const first = chooseVictims(card.bytes, holders);
  if (!first) return null;
  const gone = new Set(first.options.map(({ unit }) => unit));
  const rest = candidates.filter(([option]) => option && option.frees > 0 && !gone.has(option.unit));
  const second = chooseVictims(bytes - mainBytes(first.options), rest);
  if (!second) return null;
  return {
    options: [...first.options, ...second.options],
    costMs: first.costMs + second.costMs,
    frees: first.frees + second.frees,
    weighed: bytes > 0 ? [...holders, ...rest] : holders,
  };
}

const mainBytes = (options: readonly Option<Unit>[]): number =>
  options.reduce((total, { unit }) => total + chargedOf(unit), 0);

/** What stopping the unit frees on the card; nothing when it is on no card, or on another. */
export function onCard(options: Candidate<Unit>, device: string): [Candidate<Unit>] | [] {
  const stop = options.find(({ act }) => act === 'stop');
  const frees = stop && stop.unit.card.held?.device === device ? chargedVramOf(stop.unit) : 0;
  return stop && frees > 0 ? [[{ ...stop, frees, device }]] : [];
}

/** What others than the unit hold for good on its card. */
export const othersFixedOn = (unit: Unit, device: Device, id: string): number =>
  device.fixed - (unit.booked.device === id ? unit.booked.vram.fixed : 0);

/** Whether more is charged on a card than its limit allows, and does not come back by itself. */
export function overOn({ limitBytes, charged, incoming }: Device): number {
  return charged - incoming - limitBytes;
}

export function isOverOnAny({ devices }: State): boolean {
  if (devices.size === 0) return false;
  for (const device of devices.values()) if (overOn(device) > 0) return true;
  return false;
}
