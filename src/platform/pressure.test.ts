import { expect, it } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import type { PressureReading } from '#runtime/pressure';
import type { Event } from '#scheduler/types';
import { followPressure } from './pressure.ts';

it('tells the scheduler at each look, and people when the level changes', async () => {
  const clock = fakeClock();
  const events: Event[] = [];
  const notes: string[] = [];
  let reading: PressureReading = { some: 0, full: 0, ooms: 0, highs: 0 };
  const watch = await followPressure({
    ...{ clock, log: silentLogger, read: async () => reading },
    scheduler: { dispatch: (event) => events.push(event) },
    reporter: { note: (type, message) => notes.push(`${type}: ${message}`) },
  });
  const look = async (change: Partial<PressureReading>) => {
    reading = { ...reading, some: 0, full: 0, ...change };
    clock.advance(2_000);
    await new Promise((resolve) => setImmediate(resolve));
  };
  for (const change of [{}, { some: 20 }, { some: 20 }, { full: 9 }, {}, {}]) await look(change);
  const levels = ['idle', 'idle', 'admission', 'none'];
  expect(events).toEqual(levels.map((level) => ({ kind: 'pressure', level })));
  expect(notes).toEqual([
    expect.stringMatching(/^pressure: .*idle units.* 20 %/),
    expect.stringMatching(/^pressure: .*nothing is started.* 9 %/),
    'pressure: the pressure on memory is over',
  ]);
  watch.close();
  await look({ full: 9 });
  expect(events).toHaveLength(4);
});
