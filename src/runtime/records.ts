import type { Json } from '#contracts/driver';
import type { InstanceHandle } from '#contracts/runtime';
import type { StateStore, StateTable } from '#contracts/state';
import type { InstanceId, UnitId } from '#kernel/ids';
import { isRecord } from '#kernel/json';

/** What must survive a restart of the platform so that an instance can be taken over. */
export interface InstanceRecord {
  readonly id: InstanceId;
  readonly unit: UnitId;
  /** Null between the decision to start and the start itself: the platform died in between. */
  readonly handle: InstanceHandle | null;
  readonly host: string;
  readonly port: number;
  /** The token that the door presents to the instance; minted at its start, void with it. */
  readonly key: string;
  readonly startedAt: string;
  /** Where it tells the bytes it takes outside of its own processes; as its blueprint said when it was started. */
  readonly weight?: string;
  /** The environment that it runs from; absent where it has none. */
  readonly environment?: string;
  /** How it is confined, as it was started. Absent where it is a container, or nothing confines it. */
  readonly confined?: { readonly user: number | null; readonly files: boolean };
  /** The ports of others that stand in what it was told, by whose they are: such as that of its database. */
  readonly told?: Readonly<Record<UnitId, number>>;
}

export interface Records {
  put(record: InstanceRecord): void;
  delete(unit: UnitId): void;
  list(): InstanceRecord[];
}

const texts = ['id', 'unit', 'host', 'key', 'startedAt'] as const;

const isRecordOf = (value: unknown): boolean =>
  isRecord(value) &&
  texts.every((name) => typeof value[name] === 'string') &&
  typeof value.port === 'number' &&
  (value.handle === null || isRecord(value.handle));

/** One row a unit, since a unit has one instance. */
export function openRecords(store: StateStore): Records {
  // A record is JSON by construction; the store's type cannot know the brands of its ids.
  const table = store.table('instances') as unknown as StateTable<InstanceRecord & Json>;
  return {
    put: (record) => table.put(record.unit, record as InstanceRecord & Json),
    delete: (unit) => table.delete(unit),
    list: () =>
      table.list().flatMap(({ key, value }) => {
        if (isRecordOf(value)) return [value];
        // Another version wrote it, or nobody of ours: nothing can be taken over by it.
        table.delete(key);
        return [];
      }),
  };
}
