import { formatBytes, formatDuration } from '#kernel/quantities';
import { parseUnitId } from '#kernel/ids';
import { firstWithoutCores } from './cores.ts';
import { vramNeedOf } from './devices.ts';
import { rungOf } from './rung.ts';
import { idleAfterOf, isConnected, reservationOf, waitersOf } from './state.ts';
import type { State, Unit } from './state.ts';
import type { Reason } from './types.ts';

const name = (id: Unit['spec']['id']): string => parseUnitId(id).name;

/** Why a unit is in its state, as one sentence for people. */
export function explain(unit: Unit, state: State, now: number): string {
  const { phase } = unit;
  switch (phase.kind) {
    case 'cold':
      return waitersOf(unit) > 0 ? explainWait(unit, state) : because(unit.reason);
    case 'starting':
      return `starting for ${formatDuration(now - phase.since)}: ${because(unit.reason)}`;
    case 'ready':
      if (state.cores.waiting.has(unit)) return explainCores(unit, state);
      if (unit.leases.size > 0) return `busy with ${unit.leases.size} of ${unit.spec.slots}`;
      if (unit.spec.tier === 'core') return 'ready: core, always on';
      if (unit.pinned) return 'ready: pinned';
      if (unit.kept && unit.original) return `ready: runs beside ${name(unit.original.spec.id)}`;
      return `idle${isConnected(unit) ? ` with ${silent(unit)}` : ''}: ${restsLater(unit, state)}`;
    case 'freezing':
    case 'frozen':
      return `${phase.kind}: ${because(unit.reason)}; ${wakes(unit)}`;
    case 'thawing':
      return `thawing: ${because(unit.reason)}`;
    case 'stopping':
      return `stopping: ${because(unit.reason)}`;
    case 'backoff':
      return `${because(unit.reason)}; tried again in ${formatDuration(phase.until - now)}`;
    case 'quarantined':
      return `${because(unit.reason)}; left alone for ${formatDuration(phase.until - now)}`;
  }
}

const rests = (unit: Unit, state: State): string =>
  rungOf(unit, state) === 'frozen' || isConnected(unit) ? 'freezes' : 'stops';

const silent = ({ connections: { size } }: Unit): string => `${size} silent connection${size === 1 ? '' : 's'}`;

/** What brings it back. */
function wakes(unit: Unit): string {
  if (!isConnected(unit)) return 'wakes on the next request';
  const one = unit.connections.size === 1;
  return `${silent(unit)} stay${one ? 's' : ''} open; wakes on the next request or ${one ? 'its' : 'their'} first byte`;
}

function restsLater(unit: Unit, state: State): string {
  const ms = idleAfterOf(unit);
  if (ms === Infinity) return 'stays until something else needs its memory';
  return `${rests(unit, state)} after ${formatDuration(ms)} without use`;
}

/** What a cold unit with waiters waits for. */
function explainWait(unit: Unit, state: State): string {
  const ahead = state.claims.indexOf(unit);
  const need = formatBytes(reservationOf(unit));
  const free = formatBytes(Math.max(0, state.limitBytes - state.totals.charged));
  const turn = ahead > 0 ? `, after ${ahead} other${ahead > 1 ? 's' : ''}` : '';
  return `waits for memory: needs ${need}, ${free} are free${onCard(unit, state)}${turn}`;
}

/** What it needs on a graphics card beside it. */
function onCard(unit: Unit, { devices }: State): string {
  const need = vramNeedOf(unit);
  const device = need > 0 && unit.spec.vram?.device;
  if (!device) return '';
  const { limitBytes = 0, charged = 0 } = devices.get(device) ?? {};
  return `; ${formatBytes(need)} on ${device}, where ${formatBytes(Math.max(0, limitBytes - charged))} are free`;
}

/** Why a ready unit does not serve those who wait for it. */
function explainCores(unit: Unit, state: State): string {
  const { busy, total } = state.cores;
  const first = firstWithoutCores(state);
  if (first && first !== unit)
    return `waits for the processor behind ${name(first.spec.id)}, which was asked for before`;
  return `waits for the processor: computes with ${threadsOf(unit)}, and ${busy} of ${total} are busy`;
}

const threadsOf = ({ threads }: Unit): string => `${threads} thread${threads === 1 ? '' : 's'}`;

const on = (device: string | undefined): string => (device === undefined ? '' : ` on ${device}`);

/** A reason as the end of a sentence. */
export function because(reason: Reason): string {
  switch (reason.code) {
    case 'never-asked':
      return 'nobody asked for it yet';
    case 'asked':
      return `asked for by ${reason.by}`;
    case 'wanted':
      return {
        core: 'core, always on',
        pinned: 'pinned',
        started: 'started by hand',
        copy: 'more is asked for than one can do',
      }[reason.because];
    case 'expected': {
      const why = reason.because === 'time' ? 'it usually is at this time' : 'it usually comes next';
      return `nobody asked yet, but ${why} (${Math.round(reason.chance * 100)} %)`;
    }
    case 'recovered':
      return 'taken over from before the restart';
    case 'idle':
      return `nobody used it for ${formatDuration(reason.ms)}`;
    case 'evicted':
      return `made room (${formatBytes(reason.bytes)}${on(reason.device)}) for ${name(reason.for)}`;
    case 'relief':
      return `${formatBytes(reason.chargedBytes)} were in use of ${formatBytes(reason.limitBytes)}${on(reason.device)}`;
    case 'pressure':
      return 'the memory of the machine ran short';
    case 'stopped-by-user':
      return 'stopped by hand';
    case 'abandoned':
      return 'everyone who asked for it left';
    case 'failed':
      return `could not be started: ${reason.message}`;
    case 'exited':
      return `ended by itself: ${reason.message}`;
    case 'removed':
      return 'its definition is gone';
    case 'moved':
      return `${name(reason.provider)} has another address than it was told`;
    case 'shutdown':
      return 'the platform stopped';
  }
}
