import { mkdtempSync, rmSync, writeFileSync, existsSync, mkdirSync, linkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { fakeClock } from '#kernel/clock.fake';
import { silentLogger } from '#kernel/logger';
import { createBuilder, type Plan } from './builder.ts';
import { usageOf } from './disk.ts';
import { readMarker } from './folders.ts';

const never = new AbortController().signal;

function setup() {
  const dir = mkdtempSync(join(tmpdir(), 'sutaz-builder-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const builder = createBuilder({ dir, clock: fakeClock(), log: silentLogger });
  const plan = (fill: Plan['fill']): Plan => ({
    ...{ kind: 'node', packages: ['a@1'], wish: 'w', content: '0123456789abcdef', interpreter: '24.0.0', fill },
  });
  const path = join(dir, 'node-0123456789abcdef');
  const fill = async (into: string) => {
    writeFileSync(join(into, 'installed'), '');
    return join(into, 'installed');
  };
  return { dir, builder, plan, path, fill };
}

describe('building an environment', () => {
  it('is done once, and found afterwards', async () => {
    const { builder, plan, path, fill } = setup();
    let fills = 0;
    const counted = plan((into) => (fills++, fill(into)));
    const markers = await Promise.all([builder.build(counted, never), builder.build(counted, never)]);
    markers.push(await builder.build(counted, never));
    expect(fills).toBe(1);
    expect(new Set(markers.map(({ id }) => id))).toEqual(new Set(['node-0123456789abcdef']));
    expect(await readMarker(path)).toEqual(markers[0]);
    expect(builder.isIdle).toBe(true);
  });

  it('leaves nothing when it fails, and tries anew the next time', async () => {
    const { builder, plan, path, fill } = setup();
    const failing = plan(async (into) => {
      await fill(into);
      throw new Error('the registry is gone');
    });
    await expect(builder.build(failing, never)).rejects.toThrow('the registry is gone');
    expect(existsSync(path)).toBe(false);
    expect(builder.isIdle).toBe(true);
    await builder.build(plan(fill), never);
    expect(await readMarker(path)).not.toBeNull();
  });

  it('starts from nothing in a folder that a crash left, or whose interpreter is gone', async () => {
    const { builder, plan, path, fill } = setup();
    mkdirSync(path);
    writeFileSync(join(path, 'half'), '');
    expect(await readMarker(path)).toBeNull();
    await builder.build(plan(fill), never);
    expect(existsSync(join(path, 'half'))).toBe(false);
    rmSync(join(path, 'installed'));
    expect(await readMarker(path)).toBeNull();
    await builder.build(plan(fill), never);
    expect(await readMarker(path)).not.toBeNull();
  });

  it('takes a marker that was cut short for none', async () => {
    const { builder, plan, path, fill } = setup();
    await builder.build(plan(fill), never);
    writeFileSync(join(path, '.ready'), '{"version":1,"id"');
    expect(await readMarker(path)).toBeNull();
  });

  it('is aborted when the last who wanted it has left, and cleared away before the next', async () => {
    const { builder, plan, path, fill } = setup();
    const caller = new AbortController();
    let wasAborted = false;
    const endless = plan(async (into, signal) => {
      await fill(into);
      const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve));
      caller.abort();
      await aborted;
      wasAborted = true;
      throw signal.reason;
    });
    const building = builder.build(endless, caller.signal);
    await expect(building).rejects.toMatchObject({ code: 'CANCELLED' });
    await builder.build(plan(fill), never);
    expect(wasAborted).toBe(true);
    expect(await readMarker(path)).not.toBeNull();
  });
});

describe('the disk an environment uses', () => {
  it('counts a file once, and says what others hold too', async () => {
    const { dir } = setup();
    mkdirSync(join(dir, 'env', 'deep'), { recursive: true });
    writeFileSync(join(dir, 'store'), Buffer.alloc(40_960, 1));
    linkSync(join(dir, 'store'), join(dir, 'env', 'linked'));
    linkSync(join(dir, 'store'), join(dir, 'env', 'deep', 'again'));
    writeFileSync(join(dir, 'env', 'own'), Buffer.alloc(8_192, 1));
    const { bytes, sharedBytes } = await usageOf(join(dir, 'env'));
    expect(sharedBytes).toBe(40_960);
    expect(bytes).toBeGreaterThanOrEqual(49_152);
    expect(bytes).toBeLessThan(90_000);
  });
});
