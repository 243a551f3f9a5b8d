import type { UnitId } from '#kernel/ids';
import { anyPlace } from '#routing/picker';
import type { Pickers } from '#routing/pickers';
import { external } from '#routing/wake';
import type { Waker } from '#routing/wake';
import type { Upstreams } from '../transport/upstreams.ts';

/** An address elsewhere, as what is asked of it is counted and told: it is no unit of the ledger's. */
export const outsideUnit = (url: string): UnitId => `outside/${url}` as UnitId;
export const urlOfOutside = (unit: UnitId): string => unit.slice('outside/'.length);

/** For addresses that only a route knows: always awake, with the breakers and the retries of what runs elsewhere. */
export const outsideWaker = (pickers: Pick<Pickers, 'of'>): Waker => ({
  wake: async (unit, caller) => external(pickers.of(unit).pick(caller.choice ?? anyPlace), caller),
  picker: pickers.of,
  line: () => null,
  isReady: () => true,
  wasStopped: () => false,
  linger: () => undefined,
  progress: () => ({ phase: 'ready' }),
});

/** Asks by the name that the address has: behind it there may be many hosts, and none of them knows ours. */
export const byItsName = (upstreams: Upstreams): Upstreams => ({
  ...upstreams,
  send: (request, sink) => {
    const { host } = new URL(request.origin);
    const headers = request.headers.map((one, place) =>
      place % 2 === 1 && request.headers[place - 1] === 'host' ? host : one,
    );
    return upstreams.send({ ...request, headers }, sink);
  },
});
