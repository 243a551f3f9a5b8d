import { Fault } from '#kernel/faults';
import { originalOf, parseUnitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Waker } from '#routing/wake';
import type { Scheduler } from '#scheduler/run-loop';
import { siblingsOf } from '#scheduler/state';
import type { Directory } from '#units/directory';
import type { Units } from '#units/units';

export interface ByHandDeps {
  readonly scheduler: Scheduler;
  readonly units: Units;
  readonly directory: Directory;
  readonly waker: Waker;
}

/** Throws CONFLICT with the reason for what is elsewhere, or cannot run here. */
export function mustRun(id: UnitId, { scheduler, units, directory }: ByHandDeps): void {
  if (scheduler.state.units.has(id)) return;
  const external = units.externalUrl(id);
  if (external) throw new Fault('CONFLICT', `${id} runs elsewhere (${external}): it is not started or stopped here.`);
  const name = id.slice(id.indexOf('/') + 1);
  throw new Fault(
    'CONFLICT',
    `${id} cannot run here: ${units.unusable(directory.service(name).definition.id) ?? 'unknown'}`,
  );
}

export function mustBeFirst(id: UnitId, what: string): void {
  const first = originalOf(id);
  if (first === id) return;
  const { name } = parseUnitId(first);
  throw new Fault(
    'CONFLICT',
    `${id} is not ${what} by hand: it comes and goes with the work for ${name}. Name ${name}.`,
  );
}

/** What an operator asks of units. */
export interface ByHand {
  /** Throws at once where it cannot run here. Resolves when it is ready; throws CONFLICT when it is stopped by hand before. */
  start(id: UnitId, principal: string): Promise<void>;
  /** Throws CONFLICT for what is busy, pinned or core. A start by hand is called off; a request that waits starts it anew. */
  stop(id: UnitId, force: boolean): void;
}

export function createByHand(deps: ByHandDeps): ByHand {
  const starts = new Map<UnitId, Set<AbortController>>();
  const callOff = (id: UnitId) => {
    const fault = new Fault('CONFLICT', `${id} was stopped by hand while it started.`);
    for (const abort of starts.get(id) ?? []) abort.abort(fault);
  };
  return {
    start(id, principal) {
      // At once, so that it is the answer: later it would be nobody's.
      mustRun(id, deps);
      mustBeFirst(id, 'started');
      const abort = new AbortController();
      const all = starts.get(id) ?? new Set();
      starts.set(id, all.add(abort));
      return startAndRelease(id, principal, abort.signal, deps).finally(() => {
        all.delete(abort);
        if (all.size === 0) starts.delete(id);
      });
    },
    stop(id, force) {
      mustBeFree(id, force, deps);
      // First: as one that waits for it, a start would have it started again.
      callOff(id);
      deps.scheduler.dispatch({ kind: 'stop', unit: id, reason: { code: 'stopped-by-user' }, force });
    },
  };
}

async function startAndRelease(id: UnitId, principal: string, signal: AbortSignal, deps: ByHandDeps): Promise<void> {
  // Someone who says "start" knows of the failure: it is not held against the next try.
  deps.units.preparing.forgive(id);
  if (!deps.units.preparing.isDone(id)) await deps.units.preparing.run(id, signal);
  deps.scheduler.dispatch({ kind: 'wake', unit: id });
  const awake = await deps.waker.wake(id, { principal, class: 'interactive', signal });
  awake.release();
}

function mustBeFree(id: UnitId, force: boolean, deps: ByHandDeps): void {
  mustRun(id, deps);
  const unit = deps.scheduler.state.units.get(id);
  if (unit?.pinned) throw new Fault('CONFLICT', `${id} is pinned: unpin it first.`);
  if (unit?.spec.tier === 'core') throw new Fault('CONFLICT', `${id} is core: everything else stands on it.`);
  // Whoever names the unit means all of its instances.
  const meant = unit ? (unit.original ? [unit] : siblingsOf(unit)) : [];
  const leases = meant.reduce((sum, one) => sum + one.leases.size, 0);
  if (leases > 0 && !force) {
    const slots = meant.reduce((sum, one) => sum + ('bytes' in one.phase ? one.spec.slots : 0), 0);
    throw new Fault('CONFLICT', `${id} is busy with ${leases} of ${slots}. Ask again when it is done, or force it.`, {
      details: { leases },
    });
  }
}
