import { basename } from 'node:path';
import { idOfFile, notAlone } from './scan.ts';
import type { FoundModel, Scan, Scanner, Skipped } from './scan.ts';
import { inside, walk } from './walk.ts';
import type { Walked } from './walk.ts';

/** Formats that hold a program; said by name, so that nobody wonders why they were passed over. */
const pickles = /\.(?:pt|pth|ckpt|pkl)$/i;

/** A folder of GGUF files, as LM Studio and people keep them, however deep. */
export const scanFolder: Scanner = async (root) => scanFiles(root, await walk(root));

/** Judges files below a root, whatever else is there. */
export async function scanFiles(root: string, files: readonly Walked[]): Promise<Scan> {
  const found: FoundModel[] = [];
  const skipped: Skipped[] = [];
  for (const { path, name: title } of files) {
    const name = basename(title);
    if (pickles.test(name)) skipped.push({ title, why: 'it is a pickle, which runs code when it is loaded' });
    if (!/\.gguf$/i.test(name)) continue;
    const [file, alone] = [await inside(root, path), notAlone(name)];
    if (alone !== null) skipped.push({ title, why: alone });
    else if ('why' in file) skipped.push({ title, why: file.why });
    else found.push({ id: idOfFile(name), title, ...file, claimed: null, origins: [] });
  }
  return { found, skipped };
}
