import { createHash } from 'node:crypto';
import type { View, ViewedModel } from './view.ts';

/**
 * A cache of the Hugging Face hub: point HF_HUB_CACHE at the view, with HF_HUB_OFFLINE=1 for what did not come from there.
 * A model from the hub stands under its own repository, revision and file; any other under `sutazai/<name>`. The hub's
 * own library keeps a blob for each file, and symbolic links to it in `snapshots/`: so does the view.
 */
export const huggingfaceView: View = {
  kind: 'huggingface',
  layout(model) {
    const { repo, revision, file } = placeOf(model);
    const folder = `models--${repo.replaceAll('/', '--')}`;
    // A branch is a name for a commit, of which nobody knows any more which it was. One is made up from both names, so that
    // all files of the branch are in one snapshot: in another they would be hidden.
    const commit = isCommit(revision) ? revision : sha1(`${repo}@${revision}`);
    const main = `${folder}/snapshots/${commit}/${file}`;
    const up = '../'.repeat(main.split('/').length - 2);
    const refs = isCommit(revision) ? ['main'] : [...new Set(['main', revision])];
    return {
      main,
      links: [`${folder}/blobs/${model.sha256}`],
      files: refs.map((ref) => ({ path: `${folder}/refs/${ref}`, content: commit })),
      symlinks: [{ path: main, target: `${up}blobs/${model.sha256}` }],
    };
  },
};

const sha1 = (text: string): string => createHash('sha1').update(text).digest('hex');

const isCommit = (revision: string): boolean => /^[0-9a-f]{40}$/.test(revision);

interface Place {
  readonly repo: string;
  readonly revision: string;
  readonly file: string;
}

/** A definition may say anything: what could leave the view is not taken as a path. */
const safe = (path: string): boolean =>
  path.length <= 400 && path.split('/').every((part) => /^[\w][\w.+-]*$/.test(part) && part.length <= 200);

function placeOf({ id, origin }: ViewedModel): Place {
  if (origin?.kind === 'huggingface' && [origin.repo, origin.revision, origin.file].every(safe)) return origin;
  const name = id.replace(':', '-');
  return { repo: `sutazai/${name}`, revision: 'main', file: `${name}.gguf` };
}
