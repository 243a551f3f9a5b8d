import type { ApiDevice, ApiLedger, ApiLedgerLines, ApiProgress, ApiUnit, ApiUnitState, ApiVram } from '#contracts/api';
import type { Clock } from '#kernel/clock';
import { originalOf, parseUnitId } from '#kernel/ids';
import type { UnitId, WaiterId } from '#kernel/ids';
import { explain } from '#scheduler/explain';
import { positionOf, unitsBefore } from '#scheduler/order';
import { chargedOf, idleAfterOf, reservedOf, sum, waitersOf } from '#scheduler/state';
import type { State, Unit } from '#scheduler/state';
import type { Failure } from '#runtime/instance';
import type { InstanceRecord } from '#runtime/records';
import { chargedVramOf, vramNeedOf } from '#scheduler/devices';
import type { CardFacts } from './placement.ts';

/** What the views read. Each is asked at the moment of the view: nothing is kept twice. */
export interface ViewSources {
  readonly state: State;
  readonly clock: Clock;
  readonly limitReason: () => string;
  readonly titles: (unit: UnitId) => {
    readonly title: string;
    readonly summary: string;
    readonly category: string | null;
  };
  readonly url: (unit: UnitId) => string | null;
  readonly preparing: (unit: UnitId) => ApiProgress | null;
  readonly preparationFailure: (unit: UnitId) => { readonly message: string; readonly retryAt: number } | null;
  readonly starting: (unit: UnitId) => { readonly percent?: number; readonly what?: string } | null;
  readonly record: (unit: UnitId) => InstanceRecord | null;
  readonly failure: (unit: UnitId) => Failure | null;
  readonly cards?: () => readonly CardFacts[];
  /** What it was told the address of and is elsewhere now. */
  readonly moved?: (unit: UnitId) => readonly UnitId[];
}

export function ledgerView({ state, limitReason, cards = () => [] }: ViewSources): ApiLedger {
  const reservedBytes = sum(state, reservedOf);
  return {
    limitBytes: state.limitBytes,
    limitReason: limitReason(),
    reservedBytes,
    measuredBytes: sum(state, ({ measuredBytes }) => measuredBytes ?? 0),
    freeBytes: Math.max(0, state.limitBytes - sum(state, chargedOf)),
    devices: cards().map((card) => deviceView(card, state)),
    threads: {
      total: Number.isFinite(state.cores.total) ? state.cores.total : null,
      busy: state.cores.busy,
      waiting: [...state.cores.waiting].map(({ spec }) => spec.id),
    },
  };
}

function deviceView(
  { id, name, totalBytes, measuredBytes, otherBytes, limitBytes }: CardFacts,
  state: State,
): ApiDevice {
  const { charged = 0, incoming = 0 } = state.devices.get(id) ?? {};
  const reserved = sum(state, ({ card }) => (card.held?.device === id ? card.held.bytes : 0));
  return {
    ...{ id, name, totalBytes, limitBytes, measuredBytes, otherBytes },
    ...{ reservedBytes: reserved, chargedBytes: charged, incomingBytes: incoming },
    freeBytes: Math.max(0, limitBytes - charged),
  };
}

/** What a unit holds, or would hold, on a graphics card; null for what needs none. */
function vramView(unit: Unit): ApiVram | null {
  const { card, spec } = unit;
  const next = vramNeedOf(unit);
  const device = card.held?.device ?? (next > 0 ? spec.vram?.device : undefined);
  if (device === undefined) return null;
  const { measured, learned } = card;
  return { device, reserved: card.held?.bytes ?? 0, charged: chargedVramOf(unit), measured, learned, next };
}

export const ledgerLines = (sources: ViewSources): ApiLedgerLines => ({
  ...ledgerView(sources),
  lines: [...sources.state.units.values()]
    .filter((unit) => reservedOf(unit) > 0)
    .map((unit) => ({
      id: unit.spec.id,
      state: stateOf(unit, sources),
      reserved: reservedOf(unit),
      measured: unit.measuredBytes,
      learned: unit.learnedBytes,
      vram: vramView(unit),
    })),
});

/** The state as people see it: the scheduler's, and before it the preparation that it knows nothing of. */
export function stateOf(unit: Unit, { preparing }: ViewSources): ApiUnitState {
  if (unit.phase.kind !== 'cold') return unit.phase.kind;
  if (waitersOf(unit) > 0) return 'queued';
  return preparing(unit.spec.id) ? 'preparing' : 'cold';
}

/** How far the wake of a unit is; for a waiter also its place. An estimate only where a start was measured before. */
export function progressOf(id: UnitId, waiter: WaiterId | undefined, sources: ViewSources): ApiProgress {
  const preparing = sources.preparing(id);
  if (preparing) return preparing;
  const unit = sources.state.units.get(id);
  if (!unit) return { phase: 'unknown' };
  const now = sources.clock.now();
  const position = waiter === undefined ? null : positionOf(unit, waiter);
  const ahead = unitsBefore(unit, sources.state);
  return {
    phase: sources.state.cores.waiting.has(unit) ? 'queued' : stateOf(unit, sources),
    ...(sources.starting(id)?.what === undefined ? {} : { what: sources.starting(id)?.what ?? '' }),
    ...(sources.starting(id)?.percent === undefined ? {} : { percent: sources.starting(id)?.percent ?? 0 }),
    ...(position === null ? {} : { position: position + ahead }),
    ...estimate(unit, ahead, now),
  };
}

function estimate(unit: Unit, ahead: number, now: number): { estimateMs?: number } {
  if (unit.startMs === null || ahead > 0) return {};
  const since = unit.phase.kind === 'starting' ? now - unit.phase.since : 0;
  const left = unit.startMs - since;
  // A start that takes longer than ever before: how much longer is not known.
  return left > 0 ? { estimateMs: Math.round(left) } : {};
}

export function unitView(unit: Unit, sources: ViewSources): ApiUnit {
  const { id, tier, declaredBytes } = unit.spec;
  const { clock, state } = sources;
  const now = clock.now();
  const record = sources.record(id);
  const current = stateOf(unit, sources);
  const waking = state.cores.waiting.has(unit) || ['preparing', 'queued', 'starting', 'thawing'].includes(current);
  return {
    id,
    ...parseUnitId(id),
    copyOf: unit.original && originalOf(id),
    ...sources.titles(id),
    tier,
    state: current,
    why: `${whyOf(unit, sources)}${movedNote(id, sources)}`,
    pinned: unit.pinned,
    bytes: {
      declared: declaredBytes,
      learned: unit.learnedBytes,
      measured: unit.measuredBytes,
      reserved: reservedOf(unit),
    },
    vram: vramView(unit),
    threads: unit.spec.threads ?? 0,
    leases: unit.leases.size,
    waiters: waitersOf(unit),
    idleMs:
      unit.phase.kind === 'ready' && unit.phase.idleSince !== null ? Math.round(now - unit.phase.idleSince) : null,
    idleAfterMs: unit.pinned || tier === 'core' || idleAfterOf(unit) === Infinity ? null : idleAfterOf(unit),
    progress: waking ? progressOf(id, undefined, sources) : null,
    failure: failureOf(unit, sources),
    url: unit.original ? null : sources.url(id),
    instance: record && {
      id: record.id,
      ...wayView(record),
      pid: pidOf(record),
      port: record.port,
      startedAt: record.startedAt,
      ...(record.confined && { confined: record.confined }),
    },
  };

  function whyOf(one: Unit, from: ViewSources): string {
    const preparing = from.preparing(id);
    if (current === 'preparing' && preparing) return `${preparing.phase}${preparing.what ? `: ${preparing.what}` : ''}`;
    const failed = from.preparationFailure(id);
    if (current === 'cold' && failed) return failed.message;
    return explain(one, state, now);
  }
}

/** Of an instance that asks where nobody answers any more: why it is of little use, whatever its state. */
function movedNote(id: UnitId, { moved }: ViewSources): string {
  const names = (moved?.(id) ?? []).map((one) => parseUnitId(one).name);
  if (names.length === 0) return '';
  return `; was told another address of ${names.join(' and ')} than it has now: is started anew once nothing uses it`;
}

function failureOf(unit: Unit, { clock, failure, preparationFailure }: ViewSources): ApiUnit['failure'] {
  const { phase, spec } = unit;
  const wallAt = (at: number) => new Date(clock.wall() + (at - clock.now())).toISOString();
  if (phase.kind === 'backoff' || phase.kind === 'quarantined') {
    const message = unit.failure?.message ?? 'it failed';
    return { message, log: failure(spec.id)?.log ?? [], retryAt: wallAt(phase.until) };
  }
  const failed = phase.kind === 'cold' ? preparationFailure(spec.id) : null;
  return failed && { message: failed.message, log: [], retryAt: wallAt(failed.retryAt) };
}

/** By which way an instance runs; null until it has begun. */
export const wayOfInstance = ({ handle }: InstanceRecord): 'process' | 'docker' | null =>
  handle && (handle.driver === 'runtime.docker' ? 'docker' : 'process');

function wayView(record: InstanceRecord): { readonly way?: 'process' | 'docker' } {
  const way = wayOfInstance(record);
  return way ? { way } : {};
}

/** The process of an instance, where its driver has one. */
export function pidOf({ handle }: InstanceRecord): number | null {
  const state = handle?.state;
  if (typeof state !== 'object' || state === null || !('pid' in state)) return null;
  return typeof state.pid === 'number' ? state.pid : null;
}
