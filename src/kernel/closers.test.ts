import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { createClosers } from './closers.ts';

it('closes everything once, in reverse, whatever fails on the way', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom('fine', 'throws', 'rejects')), async (kinds) => {
      const closers = createClosers();
      const closed: number[] = [];
      for (const [i, kind] of kinds.entries()) {
        closers.add(() => {
          closed.push(i);
          if (kind === 'throws') throw new Error(`thrown ${i}`);
          return kind === 'rejects' ? Promise.reject(new Error(`rejected ${i}`)) : Promise.resolve();
        });
      }
      const failed = kinds.filter((kind) => kind !== 'fine').length;
      const results = await Promise.allSettled([closers.close(), closers.close()]);
      expect(closed).toEqual([...kinds.keys()].reverse());
      for (const result of results) {
        if (failed === 0) expect(result.status).toBe('fulfilled');
        else expect(((result as PromiseRejectedResult).reason as AggregateError).errors).toHaveLength(failed);
      }
    }),
  );
});

it('waits for one to close before it closes the one below', async () => {
  const closers = createClosers();
  const order: string[] = [];
  closers.add(() => void order.push('below'));
  let release = (): void => undefined;
  closers.add(() => new Promise<void>((resolve) => (release = resolve)).then(() => void order.push('above')));
  const closing = closers.close();
  await Promise.resolve();
  expect(order).toEqual([]);
  release();
  await closing;
  expect(order).toEqual(['above', 'below']);
});

it('closes at once what is added while it closes, and what is added after', async () => {
  const closers = createClosers();
  const during = vi.fn();
  closers.add(() => closers.add(during));
  await closers.close();
  expect(during).toHaveBeenCalledOnce();
  const late = vi.fn();
  closers.add(late);
  expect(late).toHaveBeenCalledOnce();
  closers.add(() => Promise.reject(new Error('late')));
  await expect(closers.close()).rejects.toThrow('did not close properly');
  expect(late).toHaveBeenCalledOnce();
});
