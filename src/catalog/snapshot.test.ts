import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatProblem } from '#config/strict';
import { buildCatalog } from './snapshot.ts';
import type { Catalog, DefinitionFile, Origin } from './snapshot.ts';

/** A service that says no more than it must, and `more`. */
const service = (id: string, more = '', origin: Origin = 'built-in', name = id): DefinitionFile => ({
  kind: 'service',
  path: `${origin}/services/${name}.yaml`,
  origin,
  text: `id: ${id}\nname: ${id}\nsummary: s\ncategory: tool\nrun: { process: { command: [run] } }\nresources: { memory: 1MiB }\n${more}`,
});

const engine = (id: string) => service(id, 'kind: engine\n');

const model = (id: string, more = '', origin: Origin = 'built-in'): DefinitionFile => ({
  kind: 'model',
  path: `${origin}/models/${id.replace(':', '-')}.yaml`,
  origin,
  text: `id: ${id}\nname: n\nsummary: s\nsize: 1MiB\nsources: [{ ollama: { model: ${id} } }]\n${more}`,
});

const disabled = ({ disabled: list }: Catalog): string[] =>
  list.flatMap(({ id, problems }) => problems.map((problem) => `${id} | ${formatProblem(problem)}`));

const names = ({ services }: Catalog) => [...services.keys()].sort();

describe("a user's definition", () => {
  it('adds to the built-in ones or replaces them by id', () => {
    const catalog = buildCatalog([
      service('a', 'priority: 80\n', 'user', 'mine'),
      service('b', '', 'user'),
      service('a'),
    ]);
    expect(names(catalog)).toEqual(['a', 'b']);
    expect(catalog.services.get('a')).toMatchObject({ origin: 'user', path: 'user/services/mine.yaml' });
    expect(catalog.services.get('a')?.definition.priority).toBe(80);
    expect(catalog.disabled).toEqual([]);
  });

  it('that is bad is disabled with its reason, and the built-in one does not hide that', () => {
    const catalog = buildCatalog([service('a'), service('b'), service('a', 'prioritty: 80\n', 'user', 'mine')]);
    expect(names(catalog)).toEqual(['b']);
    expect(disabled(catalog)).toEqual([
      expect.stringMatching(/^a \| user\/services\/mine\.yaml:7:1: prioritty: unknown key\. Did you mean priority\?/),
    ]);
  });

  it('disables by the id it claims even when it is no YAML, or by its file name when it claims none', () => {
    const broken = { ...service('a', '', 'user', 'x'), text: 'id: a\nrun: [\n' };
    const empty = { ...service('b', '', 'user'), text: '' };
    const catalog = buildCatalog([service('a'), service('b'), service('c'), broken, empty]);
    expect(names(catalog)).toEqual(['c']);
    expect(catalog.disabled.map(({ id }) => id)).toEqual(['b', 'a']);
  });

  it('that is bad leaves another of the same id that is good', () => {
    for (const bad of ['a-old', 'z-old']) {
      const catalog = buildCatalog([
        service('m', 'priority: 1\n', 'user'),
        service('m', 'nonsense: 1\n', 'user', bad),
        service('m'),
      ]);
      expect(catalog.services.get('m')?.definition.priority).toBe(1);
      expect(catalog.disabled).toHaveLength(1);
    }
  });

  it('cannot be there twice', () => {
    const catalog = buildCatalog([service('a', '', 'user', 'one'), service('a', '', 'user', 'two')]);
    expect(catalog.services.get('a')?.path).toBe('user/services/one.yaml');
    expect(disabled(catalog)).toEqual([
      'a | user/services/two.yaml:1:5: id: the id a is taken by user/services/one.yaml',
    ]);
  });

  it('that cannot be read says so', () => {
    const catalog = buildCatalog([service('a'), { ...service('a', '', 'user'), text: '', unreadable: 'EACCES' }]);
    expect(disabled(catalog)).toEqual(['a | user/services/a.yaml:1:1: cannot be read: EACCES']);
    expect(names(catalog)).toEqual([]);
  });
});

describe('what one service needs of another', () => {
  it('is there, or the service is disabled at the place that says so', () => {
    const catalog = buildCatalog([service('a', 'needs: [b, postgrse]\n'), service('b'), service('postgres')]);
    expect(disabled(catalog)).toEqual([
      'a | built-in/services/a.yaml:7:12: needs[1]: no service is called postgrse. Did you mean postgres?',
    ]);
  });

  it('falls with what it needs, however far, whatever the order', () => {
    const files = [
      service('a', 'needs: [b]\n'),
      service('b', 'needs: [c]\n'),
      service('c', 'nope: 1\n'),
      service('d', 'consumes: { x: {} }\n'),
      service('e', 'needs: [a]\nprovides: [x]\n'),
      service('z'),
    ];
    fc.assert(
      fc.property(fc.shuffledSubarray(files, { minLength: files.length }), (shuffled) => {
        const catalog = buildCatalog(shuffled);
        expect(names(catalog)).toEqual(['z']);
        expect(disabled(catalog)).toContain('b | built-in/services/b.yaml:7:9: needs[0]: c is disabled');
        expect(disabled(catalog)).toContain('d | built-in/services/d.yaml:7:16: consumes.x: nothing provides x.');
      }),
    );
  });

  it('cannot be itself, at once or by others', () => {
    const catalog = buildCatalog([
      service('a', 'needs: [b]\n'),
      service('b', 'needs: [a]\n'),
      service('c', 'needs: [c]\n'),
    ]);
    expect(names(catalog)).toEqual([]);
    expect(disabled(catalog)).toEqual([
      'a | built-in/services/a.yaml:7:9: needs[0]: a service cannot depend on itself: a needs b needs a',
      'b | built-in/services/b.yaml:7:9: needs[0]: a service cannot depend on itself: b needs a needs b',
      'c | built-in/services/c.yaml:7:9: needs[0]: a service cannot depend on itself: c needs c',
    ]);
  });

  it('may be what the door provides', () => {
    const text = 'consumes:\n  openai: { BASE: "{openai.url}", KEY: "{key}" }\n';
    expect(disabled(buildCatalog([service('a', text)]))).toEqual([]);
  });
});

describe('placeholders', () => {
  const command = (text: string, more = '') => {
    const file = service('a', more);
    return { ...file, text: file.text.replace('[run]', `[run, ${JSON.stringify(text)}]`) };
  };

  it.each([
    '{host}',
    '{port}',
    '{data}/x',
    '{home}',
    '{service}',
    '{env}',
    '{key}',
    '{openai.url}/v1',
    '{"json": 1}',
    '{}',
  ])('knows %s', (text) => expect(disabled(buildCatalog([command(text)]))).toEqual([]));

  it('tells of one that nothing fills in', () => {
    expect(disabled(buildCatalog([command('--port={prot}')]))).toEqual([
      'a | built-in/services/a.yaml:5:34: run.process.command[1]: {prot} is nothing. Did you mean port? Known here: host, port, data, home, service, env, key, replica, secret, <capability>.url.',
    ]);
    const verified = service('b', 'verify: { command: [ask, "{prot}"] }\n');
    expect(disabled(buildCatalog([verified]))[0]).toContain('b.yaml:7:26: verify.command[1]: {prot} is nothing.');
  });

  it('knows those of models for engines only, those of arguments for jobs only', () => {
    expect(disabled(buildCatalog([command('{model.path}', 'kind: engine\n')]))).toEqual([]);
    expect(disabled(buildCatalog([command('{model.path}')]))).toHaveLength(1);
    expect(disabled(buildCatalog([command('{view.ollama}', 'kind: engine\n')]))).toEqual([]);
    expect(disabled(buildCatalog([command('{view.olama}', 'kind: engine\n')]))[0]).toContain(
      'Did you mean view.ollama',
    );
    expect(disabled(buildCatalog([command('{view.ollama}')]))).toHaveLength(1);
    expect(disabled(buildCatalog([command('{args}', 'kind: job\n')]))).toEqual([]);
    expect(disabled(buildCatalog([command('{args}')]))).toHaveLength(1);
    expect(disabled(buildCatalog([command('x {args}', 'kind: job\n')]))[0]).toContain('where {args} stands alone');
  });
});

describe('replicas', () => {
  const copied = (run: string, more = '') => ({
    ...service('a'),
    text: `id: a\nname: a\nsummary: s\ncategory: tool\nrun: { ${run} }\nresources: { memory: 1MiB }\nreplicas: { max: 2 }\n${more}`,
  });
  const problems = (...files: Parameters<typeof copied>) => disabled(buildCatalog([copied(...files)]));

  it('are for what is told its port, in its command, its environment or what it consumes', () => {
    expect(problems("process: { command: [run, '{port}'] }")).toEqual([]);
    expect(problems("process: { command: [run], env: { PORT: '{port}' } }")).toEqual([]);
    expect(problems('process: { command: [run] }', "consumes: { openai: { ME: '{port}' } }\n")).toEqual([]);
    expect(problems('docker: { image: i, port: 80 }')).toEqual([]);
  });

  it.each([
    ['process: { command: [run] }', '', 'each copy listens on a port of its own: its command or env must take {port}'],
    [
      "process: { command: [run] }, docker: { image: i, port: 80, env: { P: '{port}' } }",
      '',
      'each copy listens on a port',
    ],
    ["external: { url: 'http://192.0.2.7' }", '', 'what runs elsewhere is not started here, and so has no copies here'],
    ["process: { command: [run, '{port}'] }", 'kind: job\n', 'a job is a command that ends: it has no copies'],
    ["process: { command: [run, '{port}'] }", 'kind: engine\n', 'an engine runs for each model: its models say'],
  ])('are refused with %s %s', (run, more, message) => {
    expect(problems(run, more)).toEqual([expect.stringMatching(/^a \| built-in\/services\/a\.yaml:7:11: replicas: /)]);
    expect(problems(run, more)[0]).toContain(message);
  });
});

it('an engine that runs elsewhere already has its models there', () => {
  const external = (more: string) => ({
    ...engine('e'),
    text: engine('e').text.replace('process: { command: [run] }', "external: { url: 'http://192.0.2.7' }") + more,
  });
  expect(disabled(buildCatalog([external('')]))).toEqual([
    expect.stringMatching(/^e \| .*: models: an engine that runs elsewhere has its models there: `models: remote`$/),
  ]);
  expect(disabled(buildCatalog([external('models: remote\n')]))).toEqual([]);
});

describe('models', () => {
  it('need an engine that is there', () => {
    const catalog = buildCatalog([engine('llama'), service('lama'), model('a:1', 'engine: lama\n'), model('b:1')]);
    expect([...catalog.models.keys()]).toEqual(['b:1']);
    expect(disabled(catalog)).toEqual([
      'a:1 | built-in/models/a-1.yaml:6:9: engine: no engine is called lama. Did you mean llama?',
    ]);
    const bare = { ...model('c:1'), text: model('c:1').text.replace(/^sources:[^]*$/m, '') };
    expect(buildCatalog([engine('llama'), bare]).disabled[0]?.problems[0]?.message).toContain('llama loads a file');
    const without = buildCatalog([{ ...engine('llama'), text: 'id: llama\nname: 1\n' }, model('b:1')]);
    expect(disabled(without).at(-1)).toMatch(/^b:1 \| .*: engine: its engine llama is disabled$/);
  });

  it('are at several servers only where nothing is loaded at any of them', () => {
    const remote = "remote: { upstreams: [{ url: 'http://192.0.2.7:1' }, { url: 'http://192.0.2.8:1' }] }\n";
    const more = { llama: '', upstream: 'models: remote\n', ollama: 'models: remote\nweight: { http: /weight }\n' };
    const engines = Object.entries(more).map(([id, text]) => ({ ...engine(id), text: engine(id).text + text }));
    const models = Object.keys(more).map((id) => model(`${id}:1`, `engine: ${id}\n${remote}`));
    expect(disabled(buildCatalog([...engines, ...models]))).toEqual([
      'llama:1 | built-in/models/llama-1.yaml:7:22: remote.upstreams: llama loads a file: several servers are for engines that have models elsewhere',
      'ollama:1 | built-in/models/ollama-1.yaml:7:22: remote.upstreams: ollama has models loaded and let go at one server: give it as url',
    ]);
  });

  it('answer to their aliases; one that is taken is left out of the second, which keeps working', () => {
    const catalog = buildCatalog([
      engine('llama'),
      model('a:1', 'aliases: [a]\n'),
      model('b:1', 'aliases: [b, a, "a:1"]\n'),
    ]);
    expect(Object.fromEntries(catalog.modelNames)).toEqual({ 'a:1': 'a:1', 'b:1': 'b:1', a: 'a:1', b: 'b:1' });
    expect(disabled(catalog)).toEqual([
      'b:1 (alias) | built-in/models/b-1.yaml:6:14: aliases[1]: the alias a already means a:1: it is left out here',
      'b:1 (alias) | built-in/models/b-1.yaml:6:17: aliases[2]: the alias a:1 already means a:1: it is left out here',
    ]);
  });
});

it('makes the same catalogue whatever the order of the files', () => {
  const files = [
    engine('llama'),
    service('a'),
    service('a', 'priority: 2\n', 'user'),
    service('a', 'priority: 3\n', 'user', 'second'),
    model('m:1', 'aliases: [m]\n'),
    model('n:1', 'aliases: [m]\n'),
  ];
  const plain = ({ services, models, modelNames, disabled: off }: Catalog) => ({
    services: Object.fromEntries(services),
    models: Object.fromEntries(models),
    names: Object.fromEntries(modelNames),
    off,
  });
  const wanted = plain(buildCatalog(files));
  fc.assert(
    fc.property(fc.shuffledSubarray(files, { minLength: files.length }), (shuffled) => {
      expect(plain(buildCatalog(shuffled))).toEqual(wanted);
    }),
  );
});
