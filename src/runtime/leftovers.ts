import type { RuntimeDriver } from '#contracts/runtime';
import { Fault, toFault } from '#kernel/faults';
import type { UnitId } from '#kernel/ids';
import type { Logger } from '#kernel/logger';
import type { InstanceRecord, Records } from './records.ts';

interface LeftDeps {
  readonly driver: RuntimeDriver;
  readonly records: Records;
  readonly log: Logger;
}

/** Milliseconds that an instance which nobody knows any more has to end. */
const graceMs = 5_000;

/**
 * Ends what an earlier record of a unit names: it could not be ended, or looked at, while its engine was away. Two instances
 * would write to the same data. Throws START_FAILED while that is so still; a record that can never be followed goes.
 */
export async function endLeft(unit: UnitId, { driver, records, log }: LeftDeps): Promise<void> {
  const left = records.list().find((one) => one.unit === unit);
  if (!left) return;
  try {
    await endOne(left, driver);
  } catch (error) {
    const { code, message } = toFault(error);
    if (code === 'START_FAILED')
      throw new Fault(code, `an earlier instance may still run: ${message}`, { cause: error });
    log.error('what a record names could not be ended', { unit, error: message });
  }
  records.delete(unit);
}

async function endOne({ id, unit, handle }: InstanceRecord, driver: RuntimeDriver): Promise<void> {
  const known = handle ?? (await driver.find?.(id, unit)) ?? null;
  if (known) await driver.stop(known, graceMs);
}
