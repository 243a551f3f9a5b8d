import { join } from 'node:path';
import { systemCode, toFault } from '#kernel/faults';
import { createSingleFlight } from '#kernel/single-flight';
import { diskFull, isDiskFull } from './failures.ts';
import * as folders from './folders.ts';
import { endLeftTool } from './tool.ts';
import type { EnvironmentsOptions } from './types.ts';

/** What is to be built: everything of the marker but what only the building tells. */
export interface Plan extends Pick<folders.ReadyMarker, 'kind' | 'packages' | 'wish'> {
  /** The digest of what decides the content: equal contents are one folder. */
  readonly content: string;
  readonly interpreter: string;
  /** Installs into the folder, which is empty. Returns a file or folder without which the environment is a ruin. */
  fill(path: string, signal: AbortSignal): Promise<string>;
}

export interface Builder {
  /** Makes the folder ready, or finds it so. Leaves no folder when it throws. */
  build(plan: Plan, signal: AbortSignal): Promise<folders.ReadyMarker>;
  /** Takes the folder away, and what a killed platform left at work in it. A build of it waits until it is gone. */
  remove(id: string): Promise<void>;
  /** Resolves when nobody takes it away any more. */
  left(id: string): Promise<void>;
  isBuilding(id: string): boolean;
  readonly isIdle: boolean;
}

/** Builds in place, because an environment knows its own path; what makes it count is the marker written last. */
export function createBuilder({ dir, clock, log }: Pick<EnvironmentsOptions, 'dir' | 'clock' | 'log'>): Builder {
  const flights = createSingleFlight<folders.ReadyMarker>();
  const building = new Set<string>();
  const leaving = new Map<string, Promise<void>>();
  const left = async (id: string): Promise<void> => leaving.get(id)?.catch(() => undefined);
  const make = async (id: string, plan: Plan, signal: AbortSignal): Promise<folders.ReadyMarker> => {
    const path = join(dir, id);
    await left(id);
    const found = await folders.readMarker(path);
    const { kind, packages, wish } = plan;
    if (found) return folders.rememberWish(path, found, wish);
    const started = clock.now();
    building.add(id);
    try {
      await endLeftTool(folders.noteOf(path), path);
      await folders.makeAnew(path);
      const anchor = await plan.fill(path, signal);
      const marker = {
        version: 1,
        id,
        kind,
        packages,
        wish,
        interpreter: plan.interpreter,
        anchor,
        builtAt: clock.wall(),
      } as const;
      await folders.writeMarker(path, marker);
      log.info('an environment was built', { id, packages, ms: Math.round(clock.now() - started) });
      return marker;
    } catch (error) {
      const left = (thrown: unknown) => log.warn('a broken environment could not be removed', { id, error: thrown });
      await folders.removeFolder(path).catch(left);
      throw isDiskFull(systemCode(error) ?? '') ? diskFull(packages.join(', '), dir) : toFault(error);
    } finally {
      building.delete(id);
    }
  };
  return {
    build(plan, signal) {
      const id = folders.folderName(plan.kind, plan.content);
      return flights.run(id, signal, (signal) => make(id, plan, signal));
    },
    left,
    async remove(id) {
      const going = takeAway(join(dir, id)).finally(() => leaving.delete(id));
      leaving.set(id, going);
      await going;
    },
    isBuilding: (id) => building.has(id),
    get isIdle() {
      return building.size === 0;
    },
  };
}

async function takeAway(path: string): Promise<void> {
  await endLeftTool(folders.noteOf(path), path);
  await folders.removeFolder(path);
}
