/** What falls due, by time and then by the order in which it was set down: a binary heap. */
export interface Heap<T extends Entry> {
  readonly items: T[];
}

export interface Entry {
  readonly at: number;
  /** Rising. What has both in common with another comes out in any order. */
  readonly seq: number;
}

export const createHeap = <T extends Entry>(): Heap<T> => ({ items: [] });

const before = (a: Entry, b: Entry): boolean => a.at < b.at || (a.at === b.at && a.seq < b.seq);

export function push<T extends Entry>({ items }: Heap<T>, item: T): void {
  let index = items.length;
  items.push(item);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = items[parent];
    if (!above || before(above, item)) break;
    items[index] = above;
    index = parent;
  }
  items[index] = item;
}

/** What comes out next, left where it is. */
export const first = <T extends Entry>({ items }: Heap<T>): T | undefined => items[0];

export function pop<T extends Entry>({ items }: Heap<T>): T | undefined {
  const top = items[0];
  const last = items.pop();
  if (top === undefined || last === undefined || items.length === 0) return top;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    const [left, right] = [items[child], items[child + 1]];
    if (!left) break;
    if (right && before(right, left)) child++;
    const below = items[child];
    if (!below || before(last, below)) break;
    items[index] = below;
    index = child;
  }
  items[index] = last;
  return top;
}
