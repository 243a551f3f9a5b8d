import { connect } from 'node:net';
import { placeOf } from '#edge/transport/place';
import type { UnitId } from '#kernel/ids';
import type { Target } from '#routing/wake';
import type { Supervisor } from '#runtime/supervisor';
import type { Units } from '#units/units';

/** Where the requests go that an instance here serves: a unit, or a copy of one. */
export const targetOf =
  (supervisor: Supervisor, protocol: Units['protocol'] = () => 'http1') =>
  (unit: UnitId): Target | null => {
    const endpoint = supervisor.endpoint(unit);
    // Engines ask for the instance's key; a service is not handed a token it never asked for.
    const key = unit.startsWith('model/') ? (endpoint?.key ?? null) : null;
    return (
      endpoint && {
        origin: `${protocol(unit) === 'h2c' ? 'h2c' : 'http'}://${endpoint.host}:${endpoint.port}`,
        basePath: '',
        key,
      }
    );
  };

/** Milliseconds in which what listens on this machine takes a connection. */
const connectMs = 1_000;

/** Whether something listens at the target. */
export function reaches({ origin }: Target): Promise<boolean> {
  const { host, port } = placeOf(origin);
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: connectMs });
    const settle = (ok: boolean) => {
      socket.destroy();
      resolve(ok);
    };
    socket.once('connect', () => settle(true));
    socket.once('timeout', () => settle(false));
    socket.on('error', () => settle(false));
  });
}
