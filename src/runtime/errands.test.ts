import { expect, it } from 'vitest';
import { unitId } from '#kernel/ids';
import { createErrands } from './errands.ts';

const [one, other] = [unitId('service', 'one'), unitId('service', 'other')];
const untilAborted = (signal: AbortSignal) =>
  new Promise<void>((_, reject) => signal.addEventListener('abort', () => reject(new Error('left'))));

it('does one thing for each unit, the newest, and tells only what failed of itself', async () => {
  const errors: string[] = [];
  const done: string[] = [];
  const errands = createErrands((unit, error) => errors.push(`${unit}: ${String(error)}`));
  errands.run(one, untilAborted);
  errands.run(one, async (signal) => {
    await untilAborted(signal).finally(() => done.push('called off'));
  });
  errands.run(other, async () => void done.push('other'));
  errands.run(other, () => Promise.reject(new Error('disk')));
  errands.callOff(one);
  errands.callOff(one);
  await errands.idle();
  expect(done).toEqual(['other', 'called off']);
  expect(errors).toEqual(['service/other: Error: disk']);
  errands.callOff(other);
  await errands.idle();
});
