import { onCard, overOn } from './devices.ts';
import { allEvictable } from './eviction.ts';
import { putToSleep, stop } from './moves.ts';
import { isConnected } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Effect, Reason } from './types.ts';
import { chooseVictims } from './victims.ts';
import type { Option } from './victims.ts';

/** Of what pressure calls for, so much is given up each time it is told: a twentieth of the limit. */
const aLittle = 1 / 20;

/** Memory is short on the machine, whatever the account says: what sleeps goes first, then what is idle. */
export function yieldToPressure(state: State, now: number, effects: Effect[]): void {
  if (!state.relief) return;
  state.relief = false;
  const reason: Reason = { code: 'pressure', level: state.pressure };
  const candidates = allEvictable(state, now)
    .map((options) => options.filter(isLast))
    .filter(([option]) => state.pressure !== 'caches' || (option && isSpare(option.unit)));
  const most = candidates.flat().reduce((total, { frees }) => total + frees, 0);
  const choice = chooseVictims(Math.min(most, state.limitBytes * aLittle), candidates);
  for (const option of choice?.options ?? []) putToSleep(option, reason, state, now, effects);
}

/** As far down as the unit may go: a stop, but where something is open. */
const isLast = ({ act, unit }: Option<Unit>): boolean => act === 'stop' || isConnected(unit);

/** Nobody is known to need it. */
const isSpare = ({ phase, guessed }: Unit): boolean => phase.kind === 'frozen' || guessed !== null;

/** Brings what is charged above a limit down, by units that nobody works with. */
export function relieve(state: State, now: number, effects: Effect[]): void {
  relieveMemory(state, now, effects);
  if (state.devices.size > 0) relieveCards(state, now, effects);
}

function relieveCards(state: State, now: number, effects: Effect[]): void {
  for (const [device, account] of state.devices) {
    const over = overOn(account);
    if (over <= 0) continue;
    const { charged: chargedBytes, limitBytes } = account;
    const holders = allEvictable(state, now).flatMap((options) => onCard(options, device));
    const reason: Reason = { code: 'relief', chargedBytes, limitBytes, device };
    for (const { unit } of chooseVictims(over, holders)?.options ?? holders.flat()) {
      stop(unit, reason, state, now, effects);
    }
  }
}

function relieveMemory(state: State, now: number, effects: Effect[]): void {
  const { charged, incoming } = state.totals;
  const over = charged - incoming - state.limitBytes;
  if (over <= 0) return;
  const idle = allEvictable(state, now);
  const reason: Reason = { code: 'relief', chargedBytes: charged, limitBytes: state.limitBytes };
  const all = idle.map((options) => options.filter(isLast));
  for (const option of chooseVictims(over, idle)?.options ?? all.flat())
    putToSleep(option, reason, state, now, effects);
}
