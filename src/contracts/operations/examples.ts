import type { ApiUnit } from '../api.ts';
import type { Wire } from './wire.ts';

const unit: ApiUnit = {
  id: 'service/chroma',
  kind: 'service',
  name: 'chroma',
  copyOf: null,
  title: 'Chroma',
  summary: 'Open-source vector database',
  category: 'vector-db',
  tier: 'persistent',
  state: 'ready',
  why: 'asked for by admin',
  pinned: false,
  bytes: { declared: 268_435_456, learned: 201_326_592, measured: 188_743_680, reserved: 268_435_456 },
  vram: null,
  threads: 0,
  leases: 1,
  waiters: 0,
  idleMs: null,
  idleAfterMs: 1_800_000,
  progress: null,
  failure: null,
  url: 'http://127.0.0.1:8080/services/chroma/',
  instance: { id: 'i-4f2k9', way: 'process', pid: 4711, port: 41_234, startedAt: '2026-11-02T09:14:07.000Z' },
};

const ledger = {
  limitBytes: 8_589_934_592,
  limitReason: 'memory.limit in sutaz.yaml',
  reservedBytes: 268_435_456,
  measuredBytes: 188_743_680,
  freeBytes: 8_321_499_136,
  devices: [],
  threads: { total: 4, busy: 0, waiting: [] },
};

const sha256 = '3f2a9c0d8e7b6a5f4e3d2c1b0a998877665544332211ffeeddccbbaa00112233';

/** Of what answers look like, for the description. */
export const examples: Partial<Wire> = {
  ApiUnit: unit,
  ApiState: {
    platform: {
      ...{ version: '0.1.0', url: 'http://127.0.0.1:8080', home: '/home/ada/.local/share/sutaz' },
      ...{ startedAt: '2026-11-02T09:14:00.000Z', pid: 4700, issuers: [] },
    },
    ledger,
    units: [unit],
  },
  ApiWhy: { unit, facts: null, outlook: null, upstreams: [] },
  ApiModelVersions: {
    id: 'smollm2:135m',
    held: false,
    versions: [
      {
        ...{ sha256, bytes: 102_760_448, source: 'huggingface', pulledAt: '2026-11-02T09:20:31.000Z' },
        ...{ present: true, here: true, damage: null },
      },
    ],
  },
  ApiCollected: {
    dryRun: true,
    removed: [
      { path: `blobs/sha256-${sha256}`, bytes: 102_760_448, frees: 102_760_448, why: 'no model stands for it' },
    ],
    kept: [],
    freed: 102_760_448,
  },
  ApiView: {
    kind: 'huggingface',
    root: '/home/ada/.local/share/sutaz/models/views/huggingface',
    variable: 'HF_HUB_CACHE',
    models: [{ id: 'all-minilm', path: 'models--all-minilm/snapshots/main' }],
    skipped: [],
  },
  ApiDefinition: {
    kind: 'service',
    origin: 'built-in',
    path: 'catalog/services/chroma.yaml',
    text: 'id: chroma\nname: Chroma\n',
    definition: { id: 'chroma', name: 'Chroma' },
  },
  ApiConsoleLink: {
    url: 'http://127.0.0.1:8080/console/open?ticket=kJ3vQ0wq',
    expiresAt: '2026-11-02T09:24:07.000Z',
  },
  ApiStopping: { status: 'stopping' },
};
