import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { tinyLlama, writeFakeGguf } from '#models/gguf.fake';
import { planMemory } from '#models/plan';
import { readUsable } from '#models/usable';
import type { PlannedModel } from '#units/plans';
import { estimateOf } from './model-facts.ts';
import { withOffer } from './offer.ts';

const model = unitId('model', 'tiny:1b');
let folder: string;
let planned: PlannedModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'offer-'));
  // A cache that is large beside the rest, so that the context decides.
  const metadata = { ...tinyLlama.metadata, 'llama.attention.key_length': 8192, 'llama.attention.value_length': 8192 };
  await writeFakeGguf(join(folder, 'm.gguf'), { ...tinyLlama, metadata });
  const header = await readUsable(join(folder, 'm.gguf'));
  const options = { contextPerSlot: 2048, slots: 2, batch: 32 };
  const plan = planMemory(header, options);
  planned = { header, plan, options, shape: { context: 2048, slots: 2 } } as PlannedModel;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const plans = { of: (name: string) => (name === 'tiny:1b' ? planned : null) };
const refusal = (limitBytes: number, heldBytes = 0) =>
  new Fault('NO_MEMORY', 'It is too large.', { details: { neededBytes: planned.plan.total, limitBytes, heldBytes } });

describe('a model that does not fit', () => {
  it('is refused with the largest context that does, of what is not held already', () => {
    const held = 100 * 2 ** 20;
    const limit = planMemory(planned.header, { contextPerSlot: 1024, slots: 2, batch: 32 }).total + held;
    const offered = withOffer(refusal(limit, held), model, plans) as Fault;
    expect(offered).toMatchObject({ code: 'NO_MEMORY', details: { largestContext: 1024, limitBytes: limit } });
    expect(offered.message).toBe(
      'It is too large. With 1024 tokens of context instead of 2048 it fits: models.settings."tiny:1b".context.',
    );
    expect(withOffer(refusal(limit - 1, held), model, plans)).toMatchObject({ details: { largestContext: 768 } });
  });

  it('is refused as before where no context helps, or nothing is known of it', () => {
    for (const [error, unit] of [
      [refusal(1), model],
      [refusal(planned.plan.total), model],
      [refusal(2 ** 40), unitId('model', 'other')],
      [refusal(2 ** 28), unitId('service', 'tiny:1b')],
      [new Fault('TIMEOUT', 'late'), model],
      [new Fault('NO_MEMORY', 'without details'), model],
    ] as const) {
      expect(withOffer(error, unit, plans)).toBe(error);
    }
  });
});

describe('a plan beside what was measured', () => {
  it.each([
    [110, 100, 10],
    [90, 100, -10],
    [1000, 999, 0.1],
  ])('of %i and %i is off by %d percent', (plannedBytes, measured, percent) => {
    expect(estimateOf(plannedBytes, measured)).toEqual({
      plannedBytes,
      measuredBytes: measured,
      errorPercent: percent,
    });
  });

  it('has no error before it was measured', () => {
    expect(estimateOf(1, null)).toEqual({ plannedBytes: 1, measuredBytes: null, errorPercent: null });
  });
});
