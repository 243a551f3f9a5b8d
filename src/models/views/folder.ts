import type { View } from './view.ts';

/** A plain folder: `smollm2/135m.gguf`, and `name.gguf` for a model without a tag. */
export const folderView: View = {
  kind: 'folder',
  layout({ id }) {
    const main = `${id.replace(':', '/')}.gguf`;
    return { main, links: [main], files: [], symlinks: [] };
  },
};
