import { describe, expect, it } from 'vitest';
import type { ApiModel } from '#contracts/api';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { principalWith } from '#security/principal.fake';
import type { Control } from './control.ts';
import type { ModelDirectory } from './models.ts';
import { permitted } from './permitted.ts';

const ids = ['a:1', 'a:2', 'b:1'];
const meant: Readonly<Record<string, readonly string[]>> = { default: ['a:1'], short: ['b:1'], fast: ['b:1', 'a:2'] };
const idsOf = (name: string): readonly string[] => {
  const found = ids.includes(name) ? [name] : meant[name];
  if (!found) throw new Fault('NOT_FOUND', `No model is called ${name}. Did you mean b:1?`, { param: 'model' });
  return found;
};
const models: ModelDirectory = {
  choose: (name) => idsOf(name).map((id) => ({ unit: unitId('model', id), id, provides: [], manner: null })),
  unit: (name) => unitId('model', idsOf(name)[0] ?? ''),
  providedBy: () => [],
  list: () => ids.map((id) => ({ id }) as ApiModel),
  names: () => [{ name: 'fast', first: ['b:1', 'a:2'] }],
};
const deps = { models, control: { models: models.list } as unknown as Control };
const rightsOver = (...scopes: string[]) => principalWith(null, scopes).rights;
const chosen = (scope: string, name: string) =>
  permitted(deps, rightsOver(scope))
    .models.choose(name, 'openai.chat')
    .map(({ id }) => id);

describe('whoever may use', () => {
  it('all models sees what there is', () => expect(permitted(deps, rightsOver('models:use'))).toBe(deps));

  it.each([
    ['models:use:a:*', 'a:2', ['a:2']],
    ['models:use:a:*', 'default', ['a:1']],
    ['models:use:a:*', 'fast', ['a:2']],
    ['models:use:fast', 'fast', ['b:1', 'a:2']],
    ['models:use:b:1', 'short', ['b:1']],
  ])('%s asks for %s and gets %j', (scope, name, found) => expect(chosen(scope, name)).toEqual(found));

  it.each(['b:1', 'short', 'default', 'nothing', 'fast'])('others is refused %s in the same words', (name) => {
    const message = `This key may not use a model called ${name}.`;
    expect(() => chosen('models:use:none', name)).toThrow(
      expect.objectContaining({ code: 'FORBIDDEN', message }) as Error,
    );
    expect(() => permitted(deps, rightsOver('models:use:none')).models.unit(name)).toThrow(message);
  });

  it('some is shown those alone, everywhere', () => {
    const shown = permitted(deps, rightsOver('models:use:a:2'));
    expect(shown.models.list().map(({ id }) => id)).toEqual(['a:2']);
    expect(shown.control.models().map(({ id }) => id)).toEqual(['a:2']);
    expect(shown.models.names()).toEqual([{ name: 'fast', first: ['a:2'] }]);
    expect(shown.models.unit('fast')).toBe('model/a:2');
    expect(permitted(deps, rightsOver('models:use:none')).models.names()).toEqual([]);
  });

  it('some gets the same view for each request', () => {
    const rights = rightsOver('models:use:a:2');
    expect(permitted(deps, rights)).toBe(permitted(deps, rights));
  });
});
