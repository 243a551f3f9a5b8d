import type { ApiModel, ApiModelDetails, ApiUnit } from '#contracts/api';
import type { Progress } from '#contracts/models';
import { capabilitiesOf } from '../models.ts';

type Header = ApiModelDetails['header'];

/** `134.52M`, as Ollama writes numbers of parameters. */
function parameterSize(count: unknown): string {
  if (typeof count !== 'number' || count <= 0) return '';
  const [unit, by] = count >= 1e9 ? (['B', 1e9] as const) : (['M', 1e6] as const);
  return `${(count / by).toFixed(count >= 1e9 ? 1 : 2)}${unit}`;
}

const textOf = (value: unknown): string => (value === null || value === undefined ? '' : String(value));

export const detailsOf = (header: Header) => ({
  parent_model: '',
  format: 'gguf',
  family: textOf(header?.architecture),
  families: header ? [textOf(header.architecture)] : [],
  parameter_size: parameterSize(header?.parameters),
  quantization_level: textOf(header?.quantization),
});

/** One of those that are here, as `tags` lists it. */
export const tagOf = (model: ApiModelDetails) => ({
  name: model.id,
  model: model.id,
  modified_at: model.pulled?.pulledAt ?? '',
  size: model.pulled?.bytes ?? model.sizeBytes,
  digest: model.pulled?.sha256 ?? '',
  details: detailsOf(model.header),
});

/** Further than any clock goes in years that people count: a model that does not go to sleep by itself. */
const never = '9999-12-31T23:59:59Z';

/** One of those that are loaded, as `ps` lists it. */
export function loadedOf(model: ApiModelDetails, unit: ApiUnit, now: number) {
  const { idleAfterMs = null, idleMs } = unit;
  const vram = unit.vram?.reserved ?? 0;
  const left = idleAfterMs === null ? null : Math.max(0, idleAfterMs - (idleMs ?? 0));
  return {
    ...tagOf(model),
    // Ollama counts what is on the card in both.
    size: unit.bytes.reserved + vram,
    size_vram: vram,
    context_length: model.context,
    expires_at: left === null ? never : new Date(now + left).toISOString(),
  };
}

export function showOf(model: ApiModelDetails, license: string, provides: readonly string[]) {
  const { header } = model;
  const family = textOf(header?.architecture);
  const info = {
    'general.architecture': family,
    'general.parameter_count': header?.parameters ?? null,
    [`${family}.context_length`]: header?.contextLength ?? model.context,
    [`${family}.block_count`]: header?.layers ?? null,
  };
  return {
    license,
    modelfile: `# ${model.name}: its definition is in the catalogue (sutaz catalog show ${model.id}).\nFROM ${model.id}\n`,
    parameters: `num_ctx ${model.context}`,
    // It is in the model's own file, and is not read here.
    template: '',
    details: detailsOf(header),
    model_info: header ? info : {},
    capabilities: capabilitiesOf(provides),
    modified_at: model.pulled?.pulledAt ?? '',
  };
}

/** A state of a pull, as Ollama's clients show it. */
export function pullStatus({ phase, what, done, total, unit }: Progress): object {
  if (phase === 'resolving') return { status: 'pulling manifest' };
  if (phase === 'verifying') return { status: 'verifying sha256 digest' };
  if (phase !== 'downloading' || unit === 'steps') return { status: `${phase} ${what}` };
  // Clients tell the bars apart by the digest, of which nothing is known before the end.
  return { status: `pulling ${what}`, digest: what, ...(total === undefined ? {} : { total }), completed: done };
}

/** Ollama adds the tag of a name that has none. */
export const withoutLatest = (name: string): string => name.replace(/:latest$/, '');

export const isHere = ({ pulled }: ApiModel): boolean => pulled !== null;
