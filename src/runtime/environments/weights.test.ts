import { link, mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { usageOf } from './disk.ts';
import { weigh, weightName } from './weigh.ts';
import { bytesTogether, linkedBytes, openWeights } from './weights.ts';

let dir: string;
const id = 'node-0123456789abcdef';
const other = 'python-0123456789abcdef';

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sutaz-weights-'));
  for (const one of [id, other]) await mkdir(join(dir, one, 'lib'), { recursive: true });
  await mkdir(join(dir, 'cache'));
  await writeFile(join(dir, 'cache/a'), 'a'.repeat(50_000));
  await writeFile(join(dir, id, 'lib/alone'), 'b'.repeat(20_000));
  // Twice in the one, once in the other: one file.
  for (const place of [`${id}/lib/a`, `${id}/lib/b`, `${other}/lib/a`])
    await link(join(dir, 'cache/a'), join(dir, place));
  await symlink('/', join(dir, id, 'lib/elsewhere'));
});
afterEach(() => rm(dir, { recursive: true }));

/** Weights that count how often they look. */
function counted() {
  let looks = 0;
  const weights = openWeights(dir, async (path) => (looks++, weigh(path)));
  return { weights, looks: () => looks };
}

it('weighs what a walk over every file finds, and a file that two hold once for both', async () => {
  const both = [
    { id, builtAt: 1 },
    { id: other, builtAt: 1 },
  ];
  const expected = await Promise.all(both.map((one) => usageOf(join(dir, one.id))));
  // In threads of their own, as it is outside of tests.
  const found = await openWeights(dir).all(both);
  const asUsage = found.map((one) => ({ bytes: one.aloneBytes + linkedBytes(one), sharedBytes: linkedBytes(one) }));
  expect(asUsage).toEqual(expected);
  const shared = linkedBytes(found[1] ?? { aloneBytes: 0, linked: new Float64Array() });
  const sum = found.reduce((bytes, one) => bytes + one.aloneBytes + linkedBytes(one), 0);
  expect(shared).toBeGreaterThanOrEqual(50_000);
  expect(bytesTogether(found)).toBe(sum - shared);
});

it('looks once at one that was built, also in the next process', async () => {
  const first = counted();
  const [found] = await first.weights.all([{ id, builtAt: 1 }]);
  const second = counted();
  expect(await second.weights.all([{ id, builtAt: 1 }])).toEqual([found]);
  expect([first.looks(), second.looks()]).toEqual([1, 0]);
});

it('looks again at one that was built anew or moved, after a prune, and where what was kept is broken', async () => {
  const { weights, looks } = counted();
  const all = (builtAt: number) => weights.all([{ id, builtAt }]);
  await all(1);
  await all(2);
  expect(looks()).toBe(2);
  await weights.forget([id, 'python-fedcba9876543210']);
  await all(2);
  expect(looks()).toBe(3);
  for (const broken of ['', 'x', 'x'.repeat(16)]) {
    await writeFile(join(dir, id, weightName), broken);
    await all(2);
  }
  expect(looks()).toBe(6);
  // Copied to another disk it has other inodes.
  await mkdir(join(dir, 'copy'));
  await rename(join(dir, id, weightName), join(dir, 'copy', weightName));
  await rm(join(dir, id), { recursive: true });
  await rename(join(dir, 'copy'), join(dir, id));
  await all(2);
  expect(looks()).toBe(7);
});

it('one that is gone by now weighs nothing, and a thread that fails is an error of that call', async () => {
  const [gone] = await openWeights(dir).all([{ id: 'node-fedcba9876543210', builtAt: 1 }]);
  expect(gone?.aloneBytes).toBe(0);
  const failing = openWeights(dir, () => Promise.reject(new Error('no thread')));
  await expect(failing.all([{ id, builtAt: 1 }])).rejects.toThrow('no thread');
});
