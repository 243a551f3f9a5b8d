import type { ModelDefinition } from '#catalog/model';
import type { Config } from '#config/static';
import type { Control } from '#edge/control';
import type { Capability, Manner, ModelChoice, ModelDirectory } from '#edge/models';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import type { ModelStore } from '#models/store';
import { bySoonest } from '#units/choosing';
import type { Core } from './core.ts';

export interface ModelDirectoryDeps extends Pick<Core, 'directory' | 'scheduler'> {
  readonly units: Pick<Core['units'], 'remote'>;
  readonly store: Pick<ModelStore, 'get'>;
  readonly config: () => Config;
  readonly control: Pick<Control, 'models'>;
  readonly clock: Clock;
}

/** What the door knows of models: the catalogue's by id and alias, and the names that the configuration gives them. */
export function createModelDirectory(deps: ModelDirectoryDeps): ModelDirectory {
  const { directory, scheduler, units, store, config, clock } = deps;
  const models = () => config().models;
  const meant = (name: string) => (name === 'default' ? models().default : name);
  const own = (name: string) => {
    const { names } = models();
    return Object.hasOwn(names, name) ? names[name] : undefined;
  };
  const choiceOf = (name: string): ModelChoice => {
    const { definition } = directory.model(name);
    const provides = providedFor(definition, directory.engineOf(definition).definition.provides);
    const manner = mannerOf(models().settings[definition.id]);
    const remote = units.remote(definition.id)?.model;
    const choice = { unit: unitId('model', definition.id), id: definition.id, provides, manner };
    return remote === undefined ? choice : { ...choice, remote };
  };
  const ordered = (choices: readonly ModelChoice[]): ModelChoice[] => {
    const candidates = choices.map((choice) => {
      const stored = store.get(choice.id);
      const bytes = stored?.bytes ?? directory.model(choice.id).definition.size;
      const { unit, remote } = choice;
      return { choice, unit, pulled: stored !== null, bytes, elsewhere: remote !== undefined };
    });
    return bySoonest(candidates, scheduler.state.units, clock.now()).map(({ choice }) => choice);
  };
  const all = (asked: string): readonly ModelChoice[] => {
    const name = meant(asked);
    const named = own(name);
    if (!named) return [choiceOf(name)];
    const manner = mannerOf(named);
    // Never as they are: the engine is asked for a model of its own, and not for a name it cannot know.
    return ordered(known(named.first, choiceOf).map((choice) => withManner(choice, manner)));
  };
  return {
    choose(name, capability) {
      const choices = all(name);
      const able = choices.filter(({ provides }) => provides.includes(capability));
      if (able.length === 0) throw cannot(name, capability, choices);
      return able;
    },
    unit: (name) => all(name)[0]?.unit ?? directory.modelUnit(name),
    providedBy: (id) => choiceOf(id).provides,
    list: () => deps.control.models(),
    names: () => Object.entries(models().names).map(([name, { first }]) => ({ name, first })),
  };
}

type Kind = ModelDefinition['kinds'][number];

/** What takes a model of some kind. A model that makes vectors ranks by how near they are. */
const neededKinds: Readonly<Record<string, readonly Kind[]>> = {
  'openai.embeddings': ['embedding'],
  'openai.vision': ['vision'],
  'jina.rerank': ['rerank', 'embedding'],
};

/** What an engine can do is told of it for all its models; what one of them is made for, only its definition knows. */
function providedFor({ kinds }: Pick<ModelDefinition, 'kinds'>, provides: readonly string[]): readonly string[] {
  const can = (capability: string): boolean => neededKinds[capability]?.some((kind) => kinds.includes(kind)) ?? true;
  return provides.filter(can);
}

/** Those that are there: one that is missing or disabled must not take the others with it. Throws when none is left. */
function known(names: readonly string[], find: (name: string) => ModelChoice): ModelChoice[] {
  const found: ModelChoice[] = [];
  let missing: unknown;
  for (const name of names) {
    try {
      found.push(find(name));
    } catch (error) {
      missing ??= error;
    }
  }
  if (found.length === 0) throw missing;
  return found;
}

type Settings = { readonly [K in keyof Manner]?: Manner[K] | undefined };

/** Null where nothing is said. */
function mannerOf({ defaults, limits, prompt }: Settings = {}): Manner | null {
  if (!defaults && !limits && prompt === undefined) return null;
  return { ...(defaults && { defaults }), ...(limits && { limits }), ...(prompt === undefined ? {} : { prompt }) };
}

/** What is said of a name goes over what is said of the model behind it. */
function withManner(choice: ModelChoice, over: Manner | null): ModelChoice {
  const { manner } = choice;
  const defaults = { ...manner?.defaults, ...over?.defaults };
  return { ...choice, manner: { ...manner, ...over, defaults } };
}

function cannot(name: string, capability: Capability, choices: readonly ModelChoice[]): Fault {
  const can = [...new Set(choices.flatMap(({ provides }) => provides))];
  const message = `${name} cannot do that: it provides ${can.join(', ') || 'nothing'}, and this needs ${capability}.`;
  return new Fault('NOT_SUPPORTED', message, { param: 'model', details: { provides: can, needs: capability } });
}
