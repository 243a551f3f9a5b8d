import type { RuntimeDriver } from '#contracts/runtime';
import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import type { Running } from './instance.ts';
import type { InstanceRecord, Records } from './records.ts';

export interface Recovered {
  readonly state: 'running' | 'frozen';
  readonly record: Running;
}

/**
 * What an earlier process of the platform left:
 * 1. one that died between writing its record and noting its process has nothing to take over, unless its driver finds it;
 * 2. one whose process is gone is forgotten;
 * 3. one whose definition is gone, or that was never healthy, is ended;
 * 4. the others are taken over as they are.
 */
export async function takeOver(
  record: InstanceRecord,
  known: (unit: UnitId) => boolean,
  healthy: (record: Running) => Promise<boolean>,
  { driver, records, log }: { driver: RuntimeDriver; records: Records; log: Logger },
): Promise<Recovered | null> {
  const { unit } = record;
  const noted = record.handle ?? (await driver.find?.(record.id, unit)) ?? null;
  const handle = noted && (await driver.recover(noted));
  const status = handle && (await driver.inspect(handle));
  if (!handle || !status || status.state === 'exited') {
    records.delete(unit); // 1, 2
    return null;
  }
  const running = { ...record, handle };
  if (!known(unit) || (status.state === 'running' && !(await healthy(running)))) {
    log.info('ended an instance of before the restart', { unit, pid: status.pid });
    await driver.stop(handle, 5_000); // 3
    records.delete(unit);
    return null;
  }
  records.put(running);
  log.info('took over an instance', { unit, pid: status.pid }); // 4
  return { state: status.state, record: running };
}
