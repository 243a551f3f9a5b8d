import type { SandboxMode } from '#runtime/sandbox/sandbox';

/** What the configuration says of one service beside its definition. Sizes in bytes, durations in milliseconds. */
export interface ServiceSettings {
  readonly enabled?: boolean;
  readonly run?: 'process' | 'docker' | 'external';
  readonly memory?: number;
  readonly priority?: number;
  readonly idle?: {
    readonly after?: number;
    readonly rung?: 'frozen' | 'cold' | 'auto';
    readonly connections?: 'keep' | 'sleep';
    readonly silence?: number;
  };
  readonly replicas?: { readonly min: number; readonly max: number };
  readonly pinned?: boolean;
  /** For a capability that it consumes, the service that provides it. */
  readonly bindings?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly sandbox?: SandboxMode;
  /** What it may write beside its own folders and what its definition says. */
  readonly writes?: readonly string[];
  /** Bytes it holds on a graphics card, in place of what its definition says. */
  readonly vram?: number;
  readonly gpu?: GpuUse;
}

/** `auto`: as much of it on a graphics card as fits. `required`: all of it, or it does not start. */
export type GpuUse = 'off' | 'auto' | 'required';

/** The same for one model. */
export interface ModelSettings {
  readonly engine?: string;
  readonly context?: number;
  readonly slots?: number;
  readonly priority?: number;
  readonly idle?: { readonly after?: number; readonly rung?: 'frozen' | 'cold' | 'auto' };
  readonly replicas?: { readonly min: number; readonly max: number };
  readonly pinned?: boolean;
  readonly gpu?: GpuUse;
}

export interface UnitSettings {
  service(id: string): ServiceSettings;
  model(id: string): ModelSettings;
  /** The same for every service that says nothing of its own. */
  readonly bindings?: Readonly<Record<string, string>>;
  readonly defaultModel: string;
  /** The models that a name of the configuration's own stands for; undefined when it has none of that name. */
  readonly named?: (name: string) => readonly string[] | undefined;
  /** For every model that says nothing of its own. */
  readonly engine?: string;
  readonly context?: number;
  readonly slots?: number;
  /** CPU threads an engine may use. */
  readonly threads?: number;
  readonly gpu?: GpuUse;
}
