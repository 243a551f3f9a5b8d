import { describe, expect, it } from 'vitest';
import { buildCatalog } from '#catalog/snapshot';
import { atVersion } from './at-version.ts';
import { createDirectory } from './directory.ts';

const run = 'run: { process: { command: [node, server.js] } }, health: { tcp: true }, resources: { memory: 64MiB }';
const about = "homepage: 'https://x.example', license: MIT";
const catalog = buildCatalog([
  {
    ...{ kind: 'service', origin: 'built-in', path: '/llama.yaml' },
    text: `{ id: llama, name: llama, summary: An engine., category: tool, tier: on-demand, kind: engine, ${about}, ${run} }`,
  },
  {
    ...{ kind: 'model', origin: 'built-in', path: '/tiny.yaml' },
    text: `{ id: 'tiny:1b', name: Tiny, summary: A model., ${about}, aliases: [tiny], size: 10MiB, sources: [{ file: { path: /m } }] }`,
  },
]);
const [old, fresh] = ['a'.repeat(64), 'b'.repeat(64)];
const stored = { sha256: fresh, versions: [{ sha256: fresh }, { sha256: old }] };
const plain = createDirectory(
  () => catalog,
  () => ({ service: () => ({}), model: () => ({}), defaultModel: 'tiny' }),
);
const directory = atVersion(plain, (id) => (id === 'tiny:1b' ? stored : null));

describe('a model named with its version', () => {
  it.each([
    'tiny:1b',
    `tiny:1b@sha256:${fresh}`,
    'tiny@sha256:bbbbbbbbbbbb',
    'model/tiny@bbbbbbbbbbbb',
    'default@bbbbbbbbbbbb',
  ])('%s is it when it stands for that version', (name) => expect(directory.unit(name)).toBe('model/tiny:1b'));

  it('is in conflict with another one, which is named with the way back', () => {
    expect(() => directory.modelUnit('tiny@sha256:aaaaaaaaaaaa')).toThrow(
      expect.objectContaining({
        code: 'CONFLICT',
        message:
          'tiny:1b stands for sha256:bbbbbbbbbbbb now. `sutaz models rollback tiny:1b sha256:aaaaaaaaaaaa` goes to the one that was asked for.',
      }),
    );
  });

  it.each([
    ['tiny@sha256:cccccccccccc', 'NOT_FOUND', /no version sha256:cccccccccccc/],
    ['tiny@sha256:bb', 'BAD_REQUEST', /at least 12 digits/],
    ['tinny@sha256:bbbbbbbbbbbb', 'NOT_FOUND', /Did you mean tiny/],
  ])('%s is refused', (name, code, message) => {
    expect(() => directory.model(name)).toThrow(expect.objectContaining({ code }) as Error);
    expect(() => directory.model(name)).toThrow(message);
  });
});
