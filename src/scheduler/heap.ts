/** Least `at` first; the order of what falls due at the same time is that of a binary heap, the same for the same history. */
export interface Heap<T extends { readonly at: number }> {
  readonly items: T[];
}

export const createHeap = <T extends { readonly at: number }>(): Heap<T> => ({ items: [] });

export function push<T extends { readonly at: number }>({ items }: Heap<T>, item: T): void {
  let index = items.length;
  items.push(item);
  while (index > 0) {
    const parent = (index - 1) >> 1;
    const above = items[parent];
    if (!above || above.at <= item.at) break;
    items[index] = above;
    index = parent;
  }
  items[index] = item;
}

export function pop<T extends { readonly at: number }>({ items }: Heap<T>): T | undefined {
  const first = items[0];
  const last = items.pop();
  if (first === undefined || last === undefined || items.length === 0) return first;
  let index = 0;
  for (;;) {
    let child = 2 * index + 1;
    const [left, right] = [items[child], items[child + 1]];
    if (!left) break;
    if (right && right.at < left.at) child++;
    const below = items[child];
    if (!below || below.at >= last.at) break;
    items[index] = below;
    index = child;
  }
  items[index] = last;
  return first;
}
