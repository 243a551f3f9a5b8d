import type { Json } from '#contracts/driver';
import type { ApiJob, ApiJobEnd } from '#contracts/jobs-api';
import type { InstanceHandle } from '#contracts/runtime';
import type { StateStore, StateTable } from '#contracts/state';
import type { InstanceId } from '#kernel/ids';
import { isRecord } from '#kernel/json';

/** What is kept of a run. Its key is not: it is good for as long as this process knows it. */
export interface JobRecord extends Pick<
  ApiJob,
  'id' | 'tool' | 'args' | 'principal' | 'folder' | 'model' | 'limits' | 'createdAt' | 'startedAt' | 'endedAt'
> {
  readonly peakBytes: number | null;
  readonly end: ApiJobEnd | null;
  /** Its process, while there is one. */
  readonly handle: InstanceHandle | null;
  /** By which its driver finds a process whose handle there was no time to note. */
  readonly instance?: InstanceId;
}

export interface JobRecords {
  put(record: JobRecord): void;
  delete(id: string): void;
  /** The newest first. */
  list(): JobRecord[];
}

const isJob = (value: unknown): boolean =>
  isRecord(value) && typeof value.id === 'string' && typeof value.createdAt === 'string' && isRecord(value.folder);

export function openJobRecords(store: StateStore): JobRecords {
  // A record is JSON by construction; the store's type cannot know the brands of its ids.
  const table = store.table('jobs') as unknown as StateTable<JobRecord & Json>;
  return {
    put: (record) => table.put(record.id, record as JobRecord & Json),
    delete: (id) => table.delete(id),
    list() {
      const rows = table.list().flatMap(({ key, value }) => {
        if (isJob(value)) return [value];
        table.delete(key);
        return [];
      });
      return rows.sort((a, b) => (a.createdAt < b.createdAt ? 1 : -1));
    },
  };
}
