import { agents } from './agents.ts';
import { bursts } from './bursts.ts';
import { diurnal } from './diurnal.ts';
import type { Family } from './family.ts';
import { flood } from './flood.ts';
import { sizes, zipf } from './popular.ts';

export const families: Readonly<Record<string, Family>> = { zipf, diurnal, bursts, agents, flood, sizes };
