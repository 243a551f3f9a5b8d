/** `pull.fixture.ts DIR URL SHA256`: pulls one file into a store, as the platform does, until it is killed or done. */
import { systemClock } from '#kernel/clock';
import { silentLogger } from '#kernel/logger';
import { createPuller } from '#models/pull';
import { openModelStore } from '#models/store';

const [dir = '', url = '', sha256 = ''] = process.argv.slice(2);
const options = { clock: systemClock, log: silentLogger };
const store = await openModelStore({ dir, ...options });
const sources = [{ kind: 'url', url, ...(sha256 && { sha256 }) }] as const;
const model = await createPuller({ store, ...options }).pull('m', sources, { signal: new AbortController().signal });
process.stdout.write(`${model.sha256}\n`);
