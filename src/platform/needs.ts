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
}

export function createNeeds(
  directory: Directory,
  waker: () => Waker,
  before: (service: string) => readonly string[],
): Needs {
  const held = new Map<UnitId, Awake[]>();
  const give = (unit: UnitId): void => {
    const leases = held.get(unit) ?? [];
    held.delete(unit);
    for (const lease of leases) lease.release();
  };
  return {
    give,
    async take(unit, signal) {
      give(unit);
      const leases: Awake[] = [];
      held.set(unit, leases);
      // One after the other, in the definition's order: two that need memory do not stand in each other's way.
      for (const need of needsOf(unit, directory, before)) {
        try {
          leases.push(await waker().wake(need, { principal: originalOf(unit), class: 'interactive', signal }));
        } catch (error) {
          const { code, message } = toFault(error);
          if (code === 'CANCELLED') throw error;
          throw new Fault('START_FAILED', `it needs ${need}, which could not be made ready: ${message}`, {
            cause: error,
          });
        }
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
