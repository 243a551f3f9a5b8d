import { afterEach, describe, expect, it } from 'vitest';
import type { StateStore } from './state.ts';

/** Every state store keeps these. `open` opens the same store again each time it is called within a case. */
export function stateConformance(name: string, open: () => Promise<StateStore>, reset: () => Promise<void>): void {
  describe(`${name} keeps the state contract`, () => {
    afterEach(reset);

    it('returns what was put, also after it was opened again', async () => {
      const store = await open();
      store.table('a').put('k', { n: 1, list: ['x'] });
      await store.close();
      const again = await open();
      expect(again.table('a').get('k')).toEqual({ n: 1, list: ['x'] });
      await again.close();
    });

    it('replaces, deletes and lists within one table only', async () => {
      const store = await open();
      const a = store.table<number>('a');
      a.put('k', 1);
      a.put('k', 2);
      a.put('l', 3);
      store.table<number>('b').put('k', 9);
      a.delete('l');
      a.delete('never');
      expect(a.list()).toEqual([{ key: 'k', value: 2 }]);
      expect(a.get('l')).toBeNull();
      await store.close();
    });

    it('may be closed twice', async () => {
      const store = await open();
      await store.close();
      await store.close();
    });
  });
}
