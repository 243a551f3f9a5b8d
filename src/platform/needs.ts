import type { ServiceDefinition } from '#catalog/service';
import type { Defined } from '#catalog/snapshot';
import type { UnitId, UnitKind } from '#kernel/ids';
import { originalOf, parseUnitId, toolOf } from '#kernel/ids';
import { Fault, toFault } from '#kernel/faults';
import type { Awake, Waker } from '#routing/wake';
import type { Directory } from '#units/directory';

/** What units stand on while they run: leases on the services their definitions need. */
export interface Needs {
  /** Makes everything the unit needs ready and holds it. Throws START_FAILED that names what was not to be had. */
  take(unit: UnitId, signal: AbortSignal): Promise<void>;
  /** Lets it all go; for a unit that holds nothing, does nothing. */
  give(unit: UnitId): void;
  /**
   * It ended by itself, and with it the leases that others held on it. They speak to it themselves, so that nobody's request
   * would wake it again: it is asked for in their stead.
   */
  lost(need: UnitId): void;
  /** It is up again: who was refused it in between holds it from now on. */
  returned(need: UnitId): void;
}

/** What one unit holds of each that it needs. */
interface Holding {
  readonly gone: AbortController;
  readonly leases: Map<UnitId, Awake | 'asked' | 'lost'>;
}

export function createNeeds(
  directory: Directory,
  waker: () => Waker,
  before: (service: string) => readonly string[],
): Needs {
  const held = new Map<UnitId, Holding>();
  const give = (unit: UnitId): void => {
    const holding = held.get(unit);
    held.delete(unit);
    holding?.gone.abort();
    for (const lease of holding?.leases.values() ?? []) if (typeof lease === 'object') lease.release();
  };
  const wake = (unit: UnitId, need: UnitId, signal: AbortSignal) =>
    waker().wake(need, { principal: originalOf(unit), class: 'interactive', signal });
  const askAgain = async (unit: UnitId, need: UnitId, { leases, gone }: Holding): Promise<void> => {
    leases.set(need, 'asked');
    try {
      const lease = await wake(unit, need, gone.signal);
      if (gone.signal.aborted) lease.release();
      else leases.set(need, lease);
    } catch {
      // Refused for now, as everyone who asks for it is; that it cannot be started is told where that is tried.
      leases.set(need, 'lost');
    }
  };
  return {
    give,
    async take(unit, signal) {
      give(unit);
      const holding: Holding = { gone: new AbortController(), leases: new Map() };
      held.set(unit, holding);
      // One after the other, in the definition's order: two that need memory do not stand in each other's way.
      for (const need of needsOf(unit, directory, before)) {
        try {
          holding.leases.set(need, await wake(unit, need, signal));
        } catch (error) {
          const { code, message } = toFault(error);
          if (code === 'CANCELLED') throw error;
          throw new Fault('START_FAILED', `it needs ${need}, which could not be made ready: ${message}`, {
            cause: error,
          });
        }
      }
    },
    lost(need) {
      for (const [unit, holding] of held) {
        const lease = holding.leases.get(need);
        if (typeof lease !== 'object') continue;
        lease.release();
        void askAgain(unit, need, holding);
      }
    },
    returned(need) {
      for (const [unit, holding] of held) {
        if (holding.leases.get(need) === 'lost') void askAgain(unit, need, holding);
      }
    },
  };
}

/** What a service must have before it starts; of a model, what its engine must. */
export function needsOf(unit: UnitId, directory: Directory, before: (service: string) => readonly string[]): UnitId[] {
  const { kind, name } = parseUnitId(originalOf(unit));
  return before(definedOf(kind, name, directory).definition.id).map((id) => directory.serviceUnit(id));
}

function definedOf(kind: UnitKind, name: string, directory: Directory): Defined<ServiceDefinition> {
  if (kind === 'job') return directory.job(toolOf(name));
  return kind === 'service' ? directory.service(name) : directory.engineOf(directory.model(name).definition);
}
