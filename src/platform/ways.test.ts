import { describe, expect, it } from 'vitest';
import type { Catalog } from '#catalog/snapshot';
import { memoryState } from '#contracts/state.fake';
import type { UnitSettings } from '#units/settings';
import { openWays, withWays } from './ways.ts';

describe('the ways of services', () => {
  it('are tried, and remembered only when they are kept', () => {
    const state = memoryState();
    const ways = openWays(state);
    ways.try('chroma', 'docker');
    expect(ways.of('chroma')).toBe('docker');
    expect(openWays(state).of('chroma')).toBeNull();
    ways.drop('chroma');
    expect(ways.of('chroma')).toBeNull();
    ways.try('chroma', 'docker');
    ways.keep('chroma');
    ways.try('chroma', 'process');
    ways.drop('chroma');
    expect([ways.of('chroma'), openWays(state).of('chroma')]).toEqual(['docker', 'docker']);
  });

  it('count where the configuration says nothing and the definition still offers them', () => {
    const services = { told: { run: 'process' }, plain: { priority: 7 } } as const;
    const settings = { service: (id: string) => services[id as 'plain'] ?? {} } as unknown as UnitSettings;
    const both = { definition: { run: { process: {}, docker: {} } } };
    const found = new Map(Object.entries({ told: both, plain: both, lone: { definition: { run: { process: {} } } } }));
    const catalog = () => ({ services: found }) as unknown as Catalog;
    const { service } = withWays(settings, { of: () => 'docker' }, catalog);
    expect(service('told')).toEqual({ run: 'process' });
    expect(service('plain')).toEqual({ priority: 7, run: 'docker' });
    expect(service('lone')).toEqual({});
    expect(service('gone')).toEqual({});
  });
});
