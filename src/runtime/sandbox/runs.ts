import { dirname } from 'node:path';
import { giveTo } from '#kernel/ownership';
import type { Work } from '../blueprint.ts';
import { openWay } from './ownership.ts';

/** Lets users of services pass to the folders of a run, and to nothing else in them. */
export async function openWayTo({ path }: Work, group: number): Promise<void> {
  for (const folder of [dirname(dirname(path)), dirname(path)]) await openWay(folder, group);
}

/** Also what a run in somebody's folder, as another user, has left in the data. */
export async function giveRun({ path, temporary }: Work, dataDir: string, uid: number): Promise<void> {
  for (const folder of [path, temporary, dataDir]) await giveTo(folder, uid);
}
