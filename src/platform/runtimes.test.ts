import { describe, expect, it } from 'vitest';
import type { ExitedStatus, InstanceHandle, InstanceSpec, RuntimeDriver } from '#contracts/runtime';
import { newInstanceId, unitId } from '#kernel/ids';
import { createRuntimes } from './runtimes.ts';

type Listener = (handle: InstanceHandle, status: ExitedStatus) => void;

/** A driver that only notes what it is asked. */
function noting(name: string) {
  const asked: string[] = [];
  const listeners: Listener[] = [];
  const handle: InstanceHandle = {
    driver: `runtime.${name}`,
    version: 1,
    id: newInstanceId(),
    unit: unitId('service', name),
    state: {},
  };
  const note = (what: string) => void asked.push(what);
  const driver: RuntimeDriver = {
    traits: { survivesRestart: true, enforcesMemory: false },
    start: async () => (note('start'), handle),
    recover: async () => (note('recover'), handle),
    find: async () => handle,
    inspect: async () => ({ state: 'running', pid: null, memoryBytes: 1 }),
    stop: async () => note('stop'),
    list: async () => [handle],
    onExit: (listener) => (listeners.push(listener), () => undefined),
    freeze: async () => note('freeze'),
    thaw: async () => note('thaw'),
    close: async () => note('close'),
  };
  return {
    driver,
    asked,
    handle,
    end: () => listeners.forEach((one) => one(handle, { state: 'exited', code: 0, signal: null, oomKilled: false })),
  };
}

const never = new AbortController().signal;
const spec = { container: { image: 'a:1' } } as unknown as InstanceSpec;

describe('processes and containers as one', () => {
  it('opens the containers with the first one, and sends each to its own', async () => {
    const [processes, containers] = [noting('process'), noting('docker')];
    let opened = 0;
    const both = createRuntimes(
      processes.driver,
      async () => (opened++, containers.driver),
      () => null,
    );
    const ended: string[] = [];
    both.onExit(({ driver }) => ended.push(driver));
    await both.start({} as InstanceSpec, never);
    expect(await both.list()).toEqual([processes.handle]);
    expect(opened).toBe(0);

    await Promise.all([both.start(spec, never), both.freeze?.(containers.handle), both.stop(processes.handle, 1)]);
    expect(opened).toBe(1);
    expect(containers.asked).toEqual(['start', 'freeze']);
    expect(processes.asked).toEqual(['start', 'stop']);
    expect(await both.list()).toEqual([processes.handle, containers.handle]);
    processes.end();
    containers.end();
    expect(ended).toEqual(['runtime.process', 'runtime.docker']);
    await both.close();
    expect(containers.asked.at(-1)).toBe('close');
  });

  it('asks an engine that did not answer again at the next start', async () => {
    const containers = noting('docker');
    let down = true;
    const open = async () => {
      if (down) throw new Error('no engine');
      return containers.driver;
    };
    const both = createRuntimes(noting('process').driver, open, () => null);
    await expect(both.start(spec, never)).rejects.toThrow('no engine');
    down = false;
    expect(await both.start(spec, never)).toBe(containers.handle);
  });

  it('looks for no container where there can be none', async () => {
    const processes = { ...noting('process').driver, find: () => Promise.resolve(null) };
    const both = createRuntimes(processes, undefined, () => 'there is no engine');
    expect(await both.find?.(newInstanceId(), spec.unit)).toBeNull();
    await expect(both.start(spec, never)).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
    await both.close();
  });
});
