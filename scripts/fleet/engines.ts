/** Engines on one platform: a model is run by one of them, so each of those that are visited by the same model has one of its own. */
import type { ServiceDefinition } from '#catalog/service';
import { modelOf } from '#catalog/verify';

/** The model that an engine is visited by: the one that its call asks for. Null for what is no engine. */
export const modelFor = ({ kind, verify }: ServiceDefinition): string | null =>
  kind === 'engine' && verify && 'path' in verify ? modelOf(verify) : null;

export interface Apart {
  readonly definitions: readonly ServiceDefinition[];
  /** Copies of models as files of a user's own catalogue, by their paths in it. */
  readonly files: Readonly<Record<string, string>>;
}

/** `textOf` gives the file of a model. The first engine of each has the model itself. */
export function withOwnModels(definitions: readonly ServiceDefinition[], textOf: (model: string) => string): Apart {
  const taken = new Set<string>();
  const files: Record<string, string> = {};
  const apart = definitions.map((definition) => {
    const model = modelFor(definition);
    if (model === null || !taken.has(model)) return (taken.add(model ?? ''), definition);
    const own = `${model}-${definition.id}`;
    files[`models/${own.replace(':', '-')}.yaml`] = textOf(model)
      .replace(/^id: .*$/m, `id: '${own}'`)
      .replace(/^aliases: .*\n/m, '');
    return askingFor(own, definition);
  });
  return { definitions: apart, files };
}

function askingFor(model: string, definition: ServiceDefinition): ServiceDefinition {
  const { verify } = definition;
  if (!verify || !('path' in verify) || typeof verify.body !== 'object') return definition;
  return { ...definition, verify: { ...verify, body: { ...verify.body, model } } };
}
