import type { Clock } from '#kernel/clock';
import type { UnitId } from '#kernel/ids';
import type { Endpoint } from './endpoint.ts';
import { watchHealth } from './health-checks.ts';
import type { HealthWatch } from './health-checks.ts';
import { createPicker } from './picker.ts';
import type { Picker, PickerView } from './picker.ts';
import type { HealthPolicy, Policy } from './policy.ts';

/** The pickers of all units. Each is there from its first request on, until its unit or its policy is another one. */
export interface Pickers {
  of(unit: UnitId): Picker;
  /** The definitions or the configuration may have changed. What has not keeps what is known of it. */
  refresh(): void;
  /** Has the unit among the views though nothing was asked of it yet; a unit whose policy cannot be had is left out. */
  know(unit: UnitId): void;
  views(): readonly PickerView[];
  close(): void;
}

export interface PickersOptions {
  readonly clock: Clock;
  /** How requests for a unit are to be treated now. Equal policies are told by being written alike. */
  readonly policy: (unit: UnitId) => Policy;
  /** Asks an upstream whether it is well; null when it is, else why not. Within bounds, and never rejects. */
  readonly check: (endpoint: Endpoint, health: HealthPolicy, signal: AbortSignal) => Promise<string | null>;
  readonly random?: () => number;
}

interface Kept {
  readonly picker: Picker;
  readonly written: string;
  readonly health: HealthWatch | null;
}

export function createPickers({ clock, policy, check, random }: PickersOptions): Pickers {
  const kept = new Map<UnitId, Kept>();
  const make = (unit: UnitId, own: Policy): Kept => {
    const picker = createPicker({ unit, policy: own, clock, ...(random && { random }) });
    const { health } = own;
    const watch =
      health && watchHealth(picker.endpoints, health, clock, (endpoint, signal) => check(endpoint, health, signal));
    return { picker, written: written(own), health: watch };
  };
  const keep = (unit: UnitId): Kept => {
    const one = make(unit, policy(unit));
    kept.set(unit, one);
    return one;
  };
  const drop = (unit: UnitId, { health }: Kept) => {
    health?.close();
    kept.delete(unit);
  };
  return {
    of(unit) {
      const one = kept.get(unit) ?? keep(unit);
      one.health?.used();
      return one.picker;
    },
    know(unit) {
      if (!kept.has(unit) && writtenOrGone(() => policy(unit)) !== null) keep(unit);
    },
    refresh() {
      for (const [unit, one] of kept) {
        if (one.written !== writtenOrGone(() => policy(unit))) drop(unit, one);
      }
    },
    views: () => [...kept.values()].map(({ picker }) => picker.view()),
    close() {
      for (const [unit, one] of kept) drop(unit, one);
    },
  };
}

const written = (policy: Policy): string =>
  JSON.stringify(policy, (_, value: unknown) => (value instanceof Set ? [...(value as Set<unknown>)] : value));

/** A unit that is no more has no policy. */
function writtenOrGone(policy: () => Policy): string | null {
  try {
    return written(policy());
  } catch {
    return null;
  }
}
