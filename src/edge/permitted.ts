import { Fault } from '#kernel/faults';
import { allows } from '#security/scopes';
import type { Rights } from '#security/scopes';
import type { Control } from './control.ts';
import type { ModelDirectory, NamedModels } from './models.ts';

interface Shown {
  readonly models: ModelDirectory;
  readonly control: Control;
}

const kept = new WeakMap<Rights, { readonly of: Shown; readonly shown: Shown }>();

/**
 * What a handler sees of the models: for rights over some of them those alone, whatever it asks by. Whoever may ask all
 * gets what was handed in.
 */
export function permitted<T extends Shown>(deps: T, rights: Rights): T {
  if (allows(rights, 'models:use', null)) return deps;
  const known = kept.get(rights);
  if (known?.of === deps) return known.shown as T;
  const may = (id: string) => allows(rights, 'models:use', id);
  const control = { ...deps.control, models: () => deps.control.models().filter(({ id }) => may(id)) };
  const shown = { ...deps, control, models: someModels(deps.models, may) };
  kept.set(rights, { of: deps, shown });
  return shown;
}

/**
 * A name that is allowed itself stands for all it names; any other one for those models of it whose ids are allowed. One
 * that is not known is refused in the same words as one that is not allowed: nobody learns what there is by asking.
 */
function someModels(models: ModelDirectory, may: (id: string) => boolean): ModelDirectory {
  const named = (name: string) => models.names().find((one) => one.name === name);
  const idOf = (name: string) => models.unit(name).slice('model/'.length);
  const allowed = ({ name, first }: NamedModels) => (may(name) ? first : first.filter((one) => mayAsk(one)));
  const mayAsk = (name: string): boolean => {
    const own = named(name);
    if (own) return allowed(own).length > 0;
    try {
      return may(idOf(name));
    } catch {
      return false;
    }
  };
  const demandModel = (name: string) => {
    if (mayAsk(name)) return;
    throw new Fault('FORBIDDEN', `This key may not use a model called ${name}.`, { param: 'model' });
  };
  return {
    choose(name, capability) {
      demandModel(name);
      const choices = models.choose(name, capability);
      const fit = named(name) && may(name) ? choices : choices.filter(({ id }) => may(id));
      if (fit.length > 0) return fit;
      throw new Fault('FORBIDDEN', `This key may not use a model called ${name} for that.`, { param: 'model' });
    },
    unit(name) {
      demandModel(name);
      const own = named(name);
      return models.unit(own ? (allowed(own)[0] ?? name) : name);
    },
    providedBy: models.providedBy,
    list: () => models.list().filter(({ id }) => may(id)),
    names: () => models.names().flatMap((own) => (allowed(own).length > 0 ? [{ ...own, first: allowed(own) }] : [])),
  };
}
