import type { UnitId } from '#kernel/ids';
import type { Target } from '#routing/wake';
import type { Supervisor } from '#runtime/supervisor';
import type { Units } from '#units/units';

/** Where a unit's requests go: to its instance here, or to where it runs. */
export const targetOf =
  (supervisor: Supervisor, units: Units) =>
  (unit: UnitId): Target | null => {
    const external = units.externalUrl(unit);
    if (external !== null) {
      const { origin, pathname } = new URL(external);
      return { origin, basePath: pathname.replace(/\/$/, ''), key: null };
    }
    const endpoint = supervisor.endpoint(unit);
    // Engines ask for the instance's key; a service is not handed a token it never asked for.
    const key = unit.startsWith('model/') ? (endpoint?.key ?? null) : null;
    return endpoint && { origin: `http://${endpoint.host}:${endpoint.port}`, basePath: '', key };
  };
