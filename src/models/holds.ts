/** What may not be removed now, by digest or folder, however many hold it. */
export interface Holds {
  has(key: string): boolean;
  /** Until the function it returns is called, once or more. */
  take(key: string): () => void;
}

export function createHolds(): Holds {
  const holds = new Map<string, number>();
  return {
    has: (key) => holds.has(key),
    take(key) {
      holds.set(key, (holds.get(key) ?? 0) + 1);
      let held = true;
      return () => {
        if (!held) return;
        held = false;
        const left = (holds.get(key) ?? 0) - 1;
        if (left > 0) holds.set(key, left);
        else holds.delete(key);
      };
    },
  };
}
