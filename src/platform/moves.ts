import type { ServiceDefinition } from '#catalog/service';
import type { ConfigSource } from '#config/load';
import type { ApiProgress } from '#contracts/api';
import type { OnProgress } from '#contracts/models';
import { Fault, toFault } from '#kernel/faults';
import { parseUnitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import type { Waker } from '#routing/wake';
import type { Supervisor } from '#runtime/supervisor';
import type { Scheduler } from '#scheduler/run-loop';
import { siblingsOf } from '#scheduler/state';
import type { Event } from '#scheduler/types';
import type { Directory } from '#units/directory';
import { describeProgress } from '#units/preparing';
import type { Units } from '#units/units';
import { wayOfInstance } from '#units/views';
import { movable } from './ways.ts';
import type { Way, Ways } from './ways.ts';

export interface MovesDeps {
  readonly scheduler: Scheduler;
  readonly units: Pick<Units, 'preparing' | 'fetch' | 'way'>;
  readonly supervisor: Pick<Supervisor, 'record' | 'settled'>;
  readonly waker: Waker;
  readonly ways: Ways;
  readonly definition: (service: string) => ServiceDefinition;
  /** What the configuration says of how a service runs. */
  readonly configured: (service: string) => string | undefined;
  readonly onFailed: Failures['listen'];
  readonly log: Logger;
}

/** Services change between running as a process and as a container, with the data that both keep in one folder. */
export interface Moves {
  /**
   * Fetches what the other way needs, stops the service, starts it anew and waits until it is well. When it is not, it goes on
   * as before, and START_FAILED says why. Throws CONFLICT at once where it cannot be, or is busy and not forced.
   */
  to(unit: UnitId, way: string, ask: { readonly principal: string; readonly force: boolean }): Promise<void>;
  /** How far the fetch for a move is; null when there is none. */
  progress(unit: UnitId): ApiProgress | null;
}

export const openMoves = (
  core: Omit<MovesDeps, 'definition' | 'configured' | 'onFailed' | 'log'> & { readonly directory: Directory },
  { config, log, failures }: { readonly config: ConfigSource; readonly log: Logger; readonly failures: Failures },
): Moves =>
  createMoves({
    ...{ ...core, log, onFailed: failures.listen },
    definition: (service) => core.directory.service(service).definition,
    configured: (service) => config.current().services[service]?.run,
  });

export function createMoves(deps: MovesDeps): Moves {
  const moving = new Map<UnitId, ApiProgress | null>();
  return {
    progress: (unit) => moving.get(unit) ?? null,
    to(unit, asked, { principal, force }) {
      const way = mayMove(unit, asked, deps);
      if (moving.has(unit)) throw new Fault('CONFLICT', `${unit} is being moved already.`);
      if (!force) mustBeIdle(unit, deps);
      moving.set(unit, { phase: 'preparing' });
      const onProgress: OnProgress = (progress) => moving.set(unit, describeProgress(progress));
      const fetched = () => moving.set(unit, null);
      return move(unit, way, { principal, force, onProgress, fetched }, deps).finally(() => moving.delete(unit));
    },
  };
}

/** The way, where a service may be moved to it. */
function mayMove(unit: UnitId, asked: string, { definition, configured }: MovesDeps): Way {
  const way = movable.find((one) => one === asked);
  if (!way) throw new Fault('BAD_REQUEST', `to=${asked} is none of ${movable.join(' and ')}.`, { param: 'to' });
  const { kind, name } = parseUnitId(unit);
  if (kind !== 'service') throw new Fault('CONFLICT', `${unit} is no service: only those can be moved.`);
  const { run } = definition(name);
  const offered = Object.keys(run).join(', ');
  if (!run[way]) throw new Fault('CONFLICT', `${name} has no way to run by ${way}: its definition offers ${offered}.`);
  const fixed = configured(name);
  if (fixed === undefined || fixed === way) return way;
  const how = `change that to ${way}, or take it out`;
  throw new Fault('CONFLICT', `sutaz.yaml says how ${name} runs (services.${name}.run: ${fixed}): ${how}.`);
}

function mustBeIdle(unit: UnitId, { scheduler }: MovesDeps): void {
  const found = scheduler.state.units.get(unit);
  const leases = found ? siblingsOf(found).reduce((sum, one) => sum + one.leases.size, 0) : 0;
  if (leases === 0) return;
  const message = `${unit} is busy with ${leases} requests. Ask again when it is done, or force it.`;
  throw new Fault('CONFLICT', message, { details: { leases } });
}

interface Move {
  readonly principal: string;
  readonly force: boolean;
  readonly onProgress: OnProgress;
  readonly fetched: () => void;
}

async function move(unit: UnitId, way: Way, how: Move, deps: MovesDeps): Promise<void> {
  const { units, ways, supervisor, log } = deps;
  const { name } = parseUnitId(unit);
  const record = supervisor.record(unit);
  // What the configuration says counts from the next start on: until then it may run another way.
  if (units.way(name) === way && (!record || wayOfInstance(record) === way)) return;
  // All that takes long, and may fail for reasons that are not the service's, while it still runs.
  await units.fetch(name, way, { signal: new AbortController().signal, onProgress: how.onProgress });
  how.fetched();
  if (!how.force) mustBeIdle(unit, deps);
  ways.try(name, way);
  try {
    await startAnew(unit, how.principal, deps);
    ways.keep(name);
  } catch (error) {
    ways.drop(name);
    const { message } = toFault(error);
    await startAnew(unit, how.principal, deps).catch((after: unknown) =>
      log.error('a service that could not be moved did not start as before', { unit, error: String(after) }),
    );
    throw new Fault('START_FAILED', `${name} did not start by ${way}, and runs as before: ${message}`, {
      cause: error,
    });
  }
}

/** Stops every instance and waits for a new one to be well; its first failure is the end of that. */
async function startAnew(unit: UnitId, principal: string, deps: MovesDeps): Promise<void> {
  const { scheduler, units, supervisor, waker, onFailed } = deps;
  const found = scheduler.state.units.get(unit);
  const all = found ? siblingsOf(found).map(({ spec }) => spec.id) : [unit];
  units.preparing.forget(unit);
  scheduler.dispatch({ kind: 'stop', unit, reason: { code: 'stopped-by-user' }, force: true });
  await Promise.all(all.map((one) => supervisor.settled(one)));
  const failed = new AbortController();
  const unlisten = onFailed(unit, (message) => failed.abort(new Fault('START_FAILED', message)));
  try {
    scheduler.dispatch({ kind: 'wake', unit });
    (await waker.wake(unit, { principal, class: 'interactive', signal: failed.signal })).release();
  } catch (error) {
    throw failed.signal.aborted ? failed.signal.reason : error;
  } finally {
    unlisten();
  }
}

/** Who waits for a unit's next failure. */
export interface Failures {
  /** The scheduler's events on their way to somebody else. */
  before(next: (event: Event) => void): (event: Event) => void;
  listen(unit: UnitId, listener: (message: string) => void): () => void;
}

export function createFailures(): Failures {
  const listeners = new Map<UnitId, (message: string) => void>();
  return {
    before: (next) => (event) => {
      if (event.kind === 'failed' || event.kind === 'exited') listeners.get(event.unit)?.(event.message);
      next(event);
    },
    listen(unit, listener) {
      listeners.set(unit, listener);
      return () => void listeners.delete(unit);
    },
  };
}
