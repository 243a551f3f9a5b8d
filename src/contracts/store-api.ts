/** What the control API says of the model store. Sizes in bytes, times as ISO 8601. */

export interface ApiModelVersion {
  readonly sha256: string;
  readonly bytes: number;
  readonly source: string;
  readonly pulledAt: string;
  /** The one the name stands for. */
  readonly present: boolean;
  /** Whether its file is still kept. */
  readonly here: boolean;
  /** What is wrong with its file; null when nothing is known to be. */
  readonly damage: string | null;
}

export interface ApiModelVersions {
  readonly id: string;
  /** A person went back to the present one: no definition moves it on until it is pulled by hand. */
  readonly held: boolean;
  /** Newest first. */
  readonly versions: readonly ApiModelVersion[];
}

export interface ApiRollbackAsk {
  /** Its beginning is enough. */
  readonly digest?: string;
}

/** What a model was planned to take of memory and what it took. */
export interface ApiEstimate {
  readonly plannedBytes: number;
  /** The most that was measured with the present context and slots; null before it was loaded so. */
  readonly measuredBytes: number | null;
  /** How much more than measured was planned, in percent of what was measured; negative for too little. */
  readonly errorPercent: number | null;
}

/** The longest context, for each slot, that fits the limit when nothing else is loaded; null when none does. */
export interface ApiFit {
  readonly limitBytes: number;
  readonly context: number | null;
}

export interface ApiVerifyAsk {
  /** All of them when none are named. */
  readonly models?: readonly string[];
  /** Fetches again what is damaged. */
  readonly repair?: boolean;
}

export interface ApiVerified {
  readonly sha256: string;
  readonly bytes: number;
  readonly models: readonly string[];
  /** Null when its bytes are what its digest says. */
  readonly problem: string | null;
  /** Whether it was fetched again, and why that failed. */
  readonly repaired: boolean;
  readonly repairFailed: string | null;
}

export interface ApiVerification {
  readonly files: readonly ApiVerified[];
}

export interface ApiCollectAsk {
  /** Only says what would go. */
  readonly dryRun?: boolean;
  /** Also what was downloaded by halves. */
  readonly downloads?: boolean;
}

export interface ApiGarbage {
  readonly path: string;
  readonly bytes: number;
  /** Bytes that its going gives back: none while another link to the file is left. */
  readonly frees: number;
  readonly why: string;
}

export interface ApiCollected {
  readonly dryRun: boolean;
  readonly removed: readonly ApiGarbage[];
  readonly kept: readonly ApiGarbage[];
  readonly freed: number;
}

export interface ApiImportAsk {
  /** An absolute path; or the usual place of another program. */
  readonly path?: string;
  readonly from?: 'ollama' | 'huggingface';
  /** What it is to be called, where one model is found. */
  readonly name?: string;
  /** Makes copies where no hard link can be made. */
  readonly copy?: boolean;
}

export interface ApiImport {
  /** Where it was looked, and what that is. */
  readonly root: string;
  readonly layout: 'ollama' | 'huggingface' | 'folder' | 'file';
  readonly imported: readonly {
    readonly id: string;
    readonly title: string;
    readonly path: string;
    readonly bytes: number;
    readonly sha256: string;
    readonly how: 'linked' | 'copied' | 'known';
  }[];
  readonly skipped: readonly { readonly title: string; readonly why: string }[];
}

export const viewKinds = ['ollama', 'huggingface', 'folder'] as const;
export type ApiViewKind = (typeof viewKinds)[number];

export interface ApiViewAsk {
  /** All whose file is here when none are named. */
  readonly models?: readonly string[];
}

export interface ApiView {
  readonly kind: ApiViewKind;
  /** The folder an engine is pointed at. */
  readonly root: string;
  /** By what variable; null where engines take a path. */
  readonly variable: string | null;
  readonly models: readonly { readonly id: string; readonly path: string }[];
  /** What no view can show, where none were named: another format than GGUF, or a damaged file. */
  readonly skipped: readonly { readonly id: string; readonly why: string }[];
}
