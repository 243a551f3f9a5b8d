import type { ApiUnit } from '#contracts/api';
import { sent, streamWork } from './control-route.ts';
import type { ControlDeps } from './control-route.ts';
import type { Exchange } from './exchange.ts';

/** Its end is the last event of who waits; who does not sees by which way the unit runs then. */
export async function moveUnit(
  exchange: Exchange,
  { control, clock }: ControlDeps,
  name: string,
): Promise<ApiUnit | typeof sent> {
  const { query, principal } = exchange;
  const id = control.unitId(name);
  const ask = { principal: principal?.id ?? 'admin', force: query.get('force') === 'true' };
  const moved = control.move(id, query.get('to') ?? '', ask);
  moved.catch(() => undefined);
  if (query.get('wait') !== 'true') return control.unit(id);
  await streamWork(
    exchange,
    clock,
    () => control.moving(id) ?? control.unit(id).progress,
    async () => {
      await moved;
      return control.unit(id);
    },
  );
  return sent;
}
