import { readFile, readdir } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { isSha256 } from '../names.ts';
import { idOfFile, notAlone } from './scan.ts';
import type { FoundModel, Scanner, Skipped } from './scan.ts';
import { inside, walk } from './walk.ts';

/** `models--owner--name`. */
const repository = /^models--(.+?)--(.+)$/;

/**
 * A cache of the Hugging Face hub: `models--owner--name/` with `blobs/` by digest, `snapshots/<commit>/` of symbolic links
 * to them, and `refs/` from names to commits (https://huggingface.co/docs/huggingface_hub/guides/manage-cache).
 * Of several commits with a file of one name, the one that a name points to is taken.
 */
export const scanHuggingFace: Scanner = async (root) => {
  const found: FoundModel[] = [];
  const skipped: Skipped[] = [];
  for (const entry of (await readdir(root, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const match = repository.exec(entry.name);
    if (!match || !entry.isDirectory()) continue;
    await readRepository(root, entry.name, `${match[1]}/${match[2]}`, found, skipped);
  }
  return { found, skipped };
};

async function readRepository(
  root: string,
  folder: string,
  repo: string,
  found: FoundModel[],
  skipped: Skipped[],
): Promise<void> {
  const place = join(root, folder);
  const taken = new Set<string>();
  const others = new Set<string>();
  for (const commit of await commitsOf(place)) {
    for (const { path, name } of await walk(join(place, 'snapshots', commit)).catch(() => [])) {
      if (!/\.gguf$/i.test(name)) {
        others.add(name.slice(name.lastIndexOf('.')));
        continue;
      }
      const title = `${repo}/${name}`;
      const [file, alone] = [await inside(root, path), notAlone(basename(name))];
      if (taken.has(name)) skipped.push({ title: `${title}@${commit.slice(0, 12)}`, why: 'a newer revision is taken' });
      else if (alone !== null) skipped.push({ title, why: alone });
      else if ('why' in file) skipped.push({ title, why: file.why });
      else {
        taken.add(name);
        const claimed = isSha256(basename(file.path)) ? basename(file.path) : null;
        const pin = claimed === null ? {} : { sha256: claimed };
        const origin = { kind: 'huggingface', repo, file: name, revision: commit, ...pin } as const;
        const sound = /^[\w.-]+\/[\w.-]+$/.test(repo);
        found.push({ id: idOfFile(basename(name)), title, ...file, claimed, origins: sound ? [origin] : [] });
      }
    }
  }
  if (taken.size > 0 || others.size === 0) return;
  const formats = others.has('.safetensors')
    ? 'it has safetensors'
    : `it has ${[...others].sort().slice(0, 4).join(', ')}`;
  skipped.push({ title: repo, why: `it has no GGUF file (${formats}), and no engine here loads another` });
}

/** Commits that a name points to first, `main` before all. */
async function commitsOf(place: string): Promise<readonly string[]> {
  const refs = await walk(join(place, 'refs')).catch(() => []);
  const named: string[] = [];
  for (const { path } of [...refs].sort((a, b) => Number(b.name === 'main') - Number(a.name === 'main'))) {
    const file = await inside(place, path);
    if ('path' in file && file.bytes <= 64) named.push((await readFile(file.path, 'utf8')).trim());
  }
  const entries = await readdir(join(place, 'snapshots'), { withFileTypes: true }).catch(() => []);
  const all = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return [...new Set([...named.filter((commit) => all.includes(commit)), ...all.sort()])];
}

/** Whether a folder is such a cache. */
export const isHubCache = async (root: string): Promise<boolean> =>
  (await readdir(root).catch(() => [])).some((name) => repository.test(name));
