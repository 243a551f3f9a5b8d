import type { ApiUnitState } from './api.ts';

/** What `/sutaz/v1/map` says: who consumes what of whom. */
export interface ApiMap {
  /** When requests began to be counted: the start of the platform. */
  readonly since: string;
  readonly nodes: readonly ApiMapNode[];
  readonly edges: readonly ApiMapEdge[];
  readonly shared: readonly ApiShared[];
}

export interface ApiMapNode {
  /** `service/chroma`, `model/smollm2:135m`, `job/aider`; `door` for the platform itself. */
  readonly id: string;
  readonly kind: 'service' | 'model' | 'job' | 'engine' | 'door';
  readonly name: string;
  /** Null for what is no unit: a tool, an engine, the door. */
  readonly state: ApiUnitState | null;
}

export interface ApiMapEdge {
  readonly from: string;
  readonly to: string;
  /** What is consumed: `postgres`, `openai`; null where the other is only needed, or was asked without being bound to. */
  readonly capability: string | null;
  /** How: through the door, or at the provider's own address with an account there. */
  readonly way: 'door' | 'direct';
  /** Requests of it since then, each once however often it was tried; null where they do not pass through the door. */
  readonly requests: number | null;
  readonly lastSeen: string | null;
  /** How the key of the consumer's present instance begins; null where it does not run. */
  readonly key: string | null;
}

/** A provider that several have an account at, instead of each having one of its own. */
export interface ApiShared {
  readonly provider: string;
  /** Those that run now. */
  readonly users: readonly string[];
  /** What it holds now: measured, else reserved. */
  readonly bytes: number;
  /** `bytes` for each user but the first: what as many providers would hold, were each as large as this one. */
  readonly sparedBytes: number;
}
