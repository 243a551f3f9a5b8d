import { parentPort, workerData } from 'node:worker_threads';
import { weigh } from './weigh.ts';

// The thread in which a folder is weighed: told which, it answers once and ends.
const weight = weigh((workerData as { readonly path: string }).path);
parentPort?.postMessage(weight, [weight.linked.buffer]);
