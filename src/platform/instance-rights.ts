import type { ServiceDefinition } from '#catalog/service';
import type { Edge } from '#catalog/bindings';
import { parseUnitId, toolOf } from '#kernel/ids';
import type { UnitId } from '#kernel/ids';

/** What an instance may ask the door for: what its definition consumes and needs, and nothing else. */
export function scopesOfInstance(
  unit: UnitId,
  services: ReadonlyMap<string, ServiceDefinition>,
  edges: (service: string) => readonly Edge[],
): readonly string[] {
  const { kind, name } = parseUnitId(unit);
  const id = kind === 'job' ? toolOf(name) : name;
  const definition = kind === 'model' ? undefined : services.get(id);
  if (!definition) return [];
  const reached = new Set(edges(id).map(({ to }) => to));
  reached.delete(id);
  const reads = Object.hasOwn(definition.consumes, 'metrics') ? ['metrics:read'] : [];
  return [
    ...reads,
    ...(asksModels(definition) ? ['models:use'] : []),
    ...[...reached].map((to) => `services:use:${to}`),
  ];
}

/** Whoever is told the address of the models, in whatever variable or argument, asks them. */
export const asksModels = (definition: ServiceDefinition): boolean =>
  Object.hasOwn(definition.consumes, 'openai') || JSON.stringify(definition.run).includes('{openai.url}');
