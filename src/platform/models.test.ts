import { describe, expect, it } from 'vitest';
import { configSchema } from '#config/static';
import { fakeClock } from '#kernel/clock.fake';
import { Fault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import { createState, createUnit } from '#scheduler/state';
import { defaultSettings } from '#scheduler/types';
import { createModelDirectory } from './models.ts';
import type { ModelDirectoryDeps } from './models.ts';

const provides: Readonly<Record<string, readonly string[]>> = {
  talks: ['openai.chat'],
  both: ['openai.chat', 'openai.embeddings', 'openai.vision'],
};
const engines: Readonly<Record<string, string>> = { large: 'talks', small: 'both', tiny: 'both' };

/** Three models, all cold, of which the smaller starts sooner. */
function open(models: object, readyNow: readonly string[] = [], remote: Readonly<Record<string, string>> = {}) {
  const state = createState(defaultSettings, 1);
  const sizes: Readonly<Record<string, number>> = { large: 9e9, small: 2e9, tiny: 1e8 };
  for (const [order, [name, declaredBytes]] of Object.entries(sizes).entries()) {
    const id = unitId('model', name);
    const unit = createUnit({ id, startMs: null, slots: 1, declaredBytes, rungs: { thawMs: null } } as never, order);
    if (readyNow.includes(name)) unit.phase = { kind: 'ready', since: 0, until: 0, bytes: 1, idleSince: 0 };
    state.units.set(id, unit);
  }
  const model = (name: string) => {
    if (!engines[name]) throw new Fault('NOT_FOUND', `No model is called ${name}.`, { param: 'model' });
    const kinds = ['chat', ...(name === 'large' ? [] : ['embedding']), ...(name === 'tiny' ? ['vision'] : [])];
    return { definition: { id: name, engine: engines[name], size: sizes[name], kinds } };
  };
  const engineOf = ({ engine }: { engine: string }) => ({ definition: { provides: provides[engine] } });
  const config = configSchema.parse({ models });
  return createModelDirectory({
    directory: { model, engineOf, modelUnit: (name: string) => unitId('model', name) },
    scheduler: { state },
    units: { remote: (id: string) => (remote[id] === undefined ? null : { model: remote[id] }) },
    store: { get: (name: string) => ({ bytes: sizes[name] }) },
    config: () => config,
    control: { models: () => [] },
    clock: fakeClock(),
  } as unknown as ModelDirectoryDeps);
}

const names = { any: { first: ['large', 'small', 'tiny'], defaults: { temperature: 0 }, prompt: 'Be brief.' } };
const ids = (directory: ReturnType<typeof open>, name: string, capability = 'openai.chat' as const) =>
  directory.choose(name, capability).map(({ id }) => id);

describe('names of the configuration', () => {
  it('stand for the model that is ready, else for the one that is soonest', () => {
    expect(ids(open({ names }), 'any')).toEqual(['tiny', 'small', 'large']);
    expect(ids(open({ names }, ['large']), 'any')).toEqual(['large', 'tiny', 'small']);
    expect(open({ names }).unit('any')).toBe('model/tiny');
    expect(open({ names }).names()).toEqual([{ name: 'any', first: names.any.first }]);
  });

  it('ask first a model that is at several servers elsewhere, since it is never started, and by its name there', () => {
    const [first, ...others] = open({ names }, [], { large: 'Org/Large' }).choose('any', 'openai.chat');
    expect(first).toMatchObject({ id: 'large', remote: 'Org/Large' });
    expect(others.map((one) => [one.id, 'remote' in one])).toEqual([
      ['tiny', false],
      ['small', false],
    ]);
  });

  it('see only where a model does and its engine can pass on what it sees', () => {
    const seers = open({ names })
      .choose('any', 'openai.chat')
      .filter((choice) => choice.provides.includes('openai.vision'));
    expect(seers.map(({ id }) => id)).toEqual(['tiny']);
  });

  it('may be what default stands for', () => {
    expect(ids(open({ names, default: 'any' }), 'default')[0]).toBe('tiny');
    expect(ids(open({ default: 'small' }), 'default')).toEqual(['small']);
    expect(configSchema.safeParse({ models: { names: { default: { first: ['small'] } } } }).success).toBe(false);
  });

  it('leave out what cannot do it and what is not there, and refuse when nothing is left', () => {
    const directory = open({ names: { ...names, half: { first: ['gone', 'small'] }, none: { first: ['gone'] } } }, [
      'large',
    ]);
    expect(directory.choose('any', 'openai.embeddings').map(({ id }) => id)).toEqual(['tiny', 'small']);
    expect(ids(directory, 'half')).toEqual(['small']);
    expect(() => directory.choose('none', 'openai.chat')).toThrow('No model is called gone.');
    expect(() => directory.choose('large', 'openai.embeddings')).toThrow(
      'large cannot do that: it provides openai.chat, and this needs openai.embeddings.',
    );
  });

  it('add their manner to that of their models; a model without any gets requests as they are', () => {
    const settings = {
      tiny: { defaults: { temperature: 1, top_p: 0.5 }, limits: { max_tokens: 9 }, prompt: 'Be long.' },
    };
    const directory = open({ names, settings });
    expect(directory.choose('any', 'openai.chat')[0]?.manner).toEqual({
      ...{ defaults: { temperature: 0, top_p: 0.5 }, limits: { max_tokens: 9 }, prompt: 'Be brief.' },
    });
    expect(directory.choose('tiny', 'openai.chat')[0]?.manner?.prompt).toBe('Be long.');
    expect(directory.choose('small', 'openai.chat')[0]?.manner).toBeNull();
  });
});
