/** What will happen, by time and then by the order in which it was set down: a binary heap. */
export interface Agenda<T extends Entry> {
  readonly entries: T[];
}

export interface Entry {
  readonly at: number;
  /** Unique and rising. */
  readonly seq: number;
}

export const createAgenda = <T extends Entry>(): Agenda<T> => ({ entries: [] });

const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.seq < b.seq);

export function add<T extends Entry>({ entries }: Agenda<T>, entry: T): void {
  let index = entries.length;
  entries.push(entry);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = entries[parent];
    if (!above || before(above, entry)) break;
    entries[index] = above;
    index = parent;
  }
  entries[index] = entry;
}

export const first = <T extends Entry>({ entries }: Agenda<T>): T | undefined => entries[0];

export function take<T extends Entry>({ entries }: Agenda<T>): T | undefined {
  const top = entries[0];
  const last = entries.pop();
  if (top === undefined || last === undefined || entries.length === 0) return top;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    const [left, right] = [entries[child], entries[child + 1]];
    if (!left) break;
    if (right && before(right, left)) child++;
    const below = entries[child];
    if (!below || before(last, below)) break;
    entries[index] = below;
    index = child;
  }
  entries[index] = last;
  return top;
}
