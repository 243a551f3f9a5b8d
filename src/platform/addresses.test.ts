import { expect, it } from 'vitest';
import type { InstanceId, UnitId } from '#kernel/ids';
import { unitId } from '#kernel/ids';
import { silentLogger } from '#kernel/logger';
import type { Awake } from '#routing/wake';
import type { InstanceRecord } from '#runtime/records';
import { createAddresses } from './addresses.ts';
import type { AddressDeps } from './addresses.ts';

const [db, app, other] = [unitId('service', 'db'), unitId('service', 'app'), unitId('service', 'other')];

function bench(told: Readonly<Record<UnitId, number>>, phase = 'ready') {
  const said: string[] = [];
  const where = new Map<UnitId, number>();
  const record = { id: 'i' as InstanceId, unit: app, handle: null, host: '', port: 1, key: '', startedAt: '', told };
  const bystander: InstanceRecord = { ...record, unit: other, told: {} };
  const addresses = createAddresses({
    records: { list: () => [record, bystander] },
    supervisor: () =>
      ({
        record: (unit: UnitId) => (unit === app ? record : null),
        endpoint: (unit: UnitId) => (where.has(unit) ? { port: where.get(unit) } : null),
      }) as unknown as ReturnType<AddressDeps['supervisor']>,
    scheduler: {
      state: { units: new Map([[app, { phase: { kind: phase } }]]) },
      dispatch: (event: { kind: string; unit: UnitId; force: boolean }) =>
        said.push(`${event.kind} ${event.unit}${event.force ? ' by force' : ''}`),
    } as unknown as AddressDeps['scheduler'],
    waker: () => ({
      wake(unit, { principal }) {
        said.push(`${principal} asks for ${unit}`);
        return { release: () => undefined } as unknown as Awake;
      },
    }),
    reporter: { note: (type, message, unit) => said.push(`${type}: ${unit} ${message.slice(0, 34)}`) },
    log: silentLogger,
  });
  return { addresses, said, where };
}

it('who was told another port than it has now is stopped without force, and started again', () => {
  const { addresses, said, where } = bench({ [db]: 5432 });
  where.set(db, 5433);
  addresses.started(db);
  expect(addresses.moved(app)).toEqual([db]);
  expect(said).toEqual([`moved: ${app} was told of a port that ${db}`, `stop ${app}`, `${db} asks for ${app}`]);
});

it('one that has its port again, or does not run, has moved for nobody', () => {
  const { addresses, said, where } = bench({ [db]: 5432 });
  expect(addresses.moved(app)).toEqual([]);
  where.set(db, 5432);
  addresses.started(db);
  expect([addresses.moved(app), addresses.moved(other), said]).toEqual([[], [], []]);
});

it('one that sleeps is not woken for it, and one that was on its way up meanwhile is told as well', () => {
  const asleep = bench({ [db]: 5432 }, 'frozen');
  asleep.where.set(db, 5433);
  asleep.addresses.started(app);
  expect(asleep.said.at(-1)).toBe(`stop ${app}`);
  asleep.said.length = 0;
  asleep.addresses.started(other);
  expect(asleep.said).toEqual([]);
});
