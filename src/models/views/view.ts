import type { ModelSource } from '#contracts/models';
import type { Gguf } from '../gguf.ts';

export type ViewKind = 'ollama' | 'huggingface' | 'folder';

/** A model as a view sees it. */
export interface ViewedModel {
  /** As in the catalogue: `smollm2:135m`. */
  readonly id: string;
  readonly sha256: string;
  readonly bytes: number;
  /** The source its file came from, where the definition names it. */
  readonly origin: ModelSource | null;
  readonly header: Pick<Gguf, 'architecture' | 'quantization' | 'parameters' | 'chatTemplate' | 'metadata'>;
}

/** What one model is in a layout. Paths are from the view's root on, with `/`, and leave it nowhere. */
export interface Layout {
  /** The path an engine is given. */
  readonly main: string;
  /** Hard links to the blob. */
  readonly links: readonly string[];
  /** Small files of the layout's own. */
  readonly files: readonly { readonly path: string; readonly content: string }[];
  /** Symbolic links within the view, as the layout's own program makes them: `target` is from the link's folder on. */
  readonly symlinks: readonly { readonly path: string; readonly target: string }[];
}

/** A layout that an engine knows: a pure function of the model. */
export interface View {
  readonly kind: ViewKind;
  layout(model: ViewedModel): Layout;
}

/** Every path that a layout makes. */
export const pathsOf = ({ links, files, symlinks }: Layout): readonly string[] => [
  ...links,
  ...[...files, ...symlinks].map(({ path }) => path),
];
