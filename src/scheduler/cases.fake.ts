import { unitId } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';
import { unitOf } from './state.ts';
import type { Effect, Event } from './types.ts';
import type { World } from './world.fake.ts';

export const [a, b, c, d] = [
  unitId('model', 'a'),
  unitId('model', 'b'),
  unitId('model', 'c'),
  unitId('model', 'd'),
] as const;
/** Why a person's stop is asked for. */
export const user = { code: 'stopped-by-user' } as const;

/** The effects in a few words each, in their order. */
export const told = (effects: readonly Effect[]): string[] =>
  effects.map((effect) => {
    if (effect.kind === 'grant') return `grant ${effect.waiter}`;
    if (effect.kind === 'refuse') return `refuse ${effect.waiter} ${effect.refusal.code}`;
    return `${effect.kind} ${effect.unit}${effect.kind === 'stop' ? ` ${effect.reason.code}` : ''}`;
  });
/** The end of what is under way, and what follows from it. */
export const done = (world: World, kind: 'started' | 'stopped' | 'frozen' | 'thawed', unit: UnitId) =>
  told(world.apply({ kind, unit }));
export const stop = (unit: UnitId, force = false): Event => ({ kind: 'stop', unit, reason: user, force });
export const phase = (world: World, unit: UnitId) => unitOf(world.state, unit).phase.kind;
/** The code of its refusal, else how its waiting ended. */
export const outcome = (world: World, waiter: Parameters<World['callers']['get']>[0]) => {
  const caller = world.callers.get(waiter);
  return caller?.code ?? caller?.state;
};
/** Every lease of the unit ends. */
export const release = (world: World, unit: UnitId) => {
  const effects = world.leasesOf(unit).flatMap((waiter) => world.apply({ kind: 'release', waiter, unit }));
  return told(effects);
};
/** Ready, idle and past its residency. */
export function idle(world: World, ...units: UnitId[]): void {
  for (const unit of units) {
    world.apply({ kind: 'wake', unit });
    world.apply({ kind: 'started', unit });
  }
  world.advance(5_000);
}
/** Ready with one lease, past its residency. */
export function busy(world: World, ...units: UnitId[]): void {
  idle(world, ...units);
  for (const unit of units) world.request(unit);
}
