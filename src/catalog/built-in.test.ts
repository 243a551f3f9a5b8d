import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatProblem } from '#config/strict';
import { nodePackages } from './service.ts';
import { jsonSchemas } from './schema.ts';
import { buildCatalog } from './snapshot.ts';
import { readFolders } from './source.ts';
import { modelOf } from './verify.ts';

const root = join(import.meta.dirname, '..', '..', 'catalog');
const files = await readFolders([{ path: root, origin: 'built-in' }]);
const catalog = buildCatalog(files);

/** What the catalogue is to have by name, and the definition that stands for it. */
const promised: Readonly<Record<string, string>> = {
  ...{ AgentGPT: 'agentgpt', AgentZero: 'agent-zero', Aider: 'aider', AnythingLLM: 'anythingllm', AutoGPT: 'autogpt' },
  ...{
    AutoGen: 'autogen-studio',
    BigAGI: 'big-agi',
    'Browser-Use': 'browser-use',
    ChromaDB: 'chroma',
    ComfyUI: 'comfyui',
  },
  ...{ Consul: 'consul', CrewAI: 'crewai', Dify: 'dify', 'docling-serve': 'docling-serve', Documind: 'documind' },
  ...{ FAISS: 'faiss', FinRobot: 'finrobot', Flowise: 'flowise', 'GPT-Engineer': 'gpt-engineer', Gradio: 'gradio' },
  ...{ Grafana: 'grafana', Haystack: 'hayhooks', Jaeger: 'jaeger', Jupyter: 'jupyter', LangChain: 'langgraph' },
  ...{ LangFlow: 'langflow', Langfuse: 'langfuse', Letta: 'letta', LiteLLM: 'litellm', LlamaIndex: 'llama-index' },
  ...{ 'llama.cpp server': 'llama-server', LocalAI: 'localai', Loki: 'loki', MetaGPT: 'metagpt', Milvus: 'milvus' },
  ...{ MLflow: 'mlflow', n8n: 'n8n', 'Node-RED': 'node-red', Ollama: 'ollama', 'Open WebUI': 'open-webui' },
  ...{ OpenHands: 'openhands', PentestGPT: 'pentestgpt', pgvector: 'pgvector', PostgreSQL: 'postgres' },
  ...{
    PrivateGPT: 'private-gpt',
    Prometheus: 'prometheus',
    Qdrant: 'qdrant',
    RabbitMQ: 'rabbitmq',
    RAGFlow: 'ragflow',
  },
  ...{
    Redis: 'redis',
    SearXNG: 'searxng',
    ShellGPT: 'shell-gpt',
    Skyvern: 'skyvern',
    'speech to text': 'speech-to-text',
  },
  ...{
    Streamlit: 'streamlit',
    TabbyML: 'tabby',
    'text to speech': 'text-to-speech',
    vLLM: 'vllm',
    Weaviate: 'weaviate',
  },
};

describe('the built-in catalogue', () => {
  it('is right', () => {
    expect(catalog.disabled.flatMap(({ problems }) => problems.map(formatProblem))).toEqual([]);
    expect(catalog.services.size + catalog.models.size).toBe(files.length);
  });

  it('has the entries the issue asks for, and a default that can be had without a model hub', () => {
    expect([...catalog.services.keys()]).toEqual(
      expect.arrayContaining(['llama', 'chroma', 'node-red', 'shell-gpt', 'aider']),
    );
    const sources = (id: string) => catalog.models.get(id)?.definition.sources.map(({ kind }) => kind);
    expect(sources('smollm2:135m')).toEqual(['huggingface', 'ollama', 'python']);
    expect(sources('gemma3:270m')).toEqual(['huggingface', 'ollama', 'python']);
    expect(catalog.models.size).toBeGreaterThanOrEqual(5);
  });

  it.each(Object.entries(promised))('has %s', (_, id) => expect(catalog.services.has(id)).toBe(true));

  it('names each file after its id', () => {
    for (const [id, { path }] of [...catalog.services, ...catalog.models]) {
      expect(basename(path)).toBe(`${id.replace(':', '-')}.yaml`);
    }
  });

  it.each(files.map(({ path, text }) => [basename(path), text] as const))(
    '%s names its schema and says how it was verified',
    (_, text) => {
      const schema =
        /^# yaml-language-server: \$schema=\.\.\/schema\/(service|model)\.json\n#\n(#.*\n)*# (Verified|Not run)\b/;
      expect(text).toMatch(schema);
      expect(text).toMatch(/20\d\d-\d\d-\d\d/);
    },
  );

  it('pins every package to a release', () => {
    for (const { definition } of catalog.services.values()) {
      const { python, node } = definition.run.process ?? {};
      for (const name of python?.packages ?? []) expect(name).toMatch(/^[a-z0-9-]+(\[[a-z0-9,-]+\])?==\d[\w.]*$/);
      for (const name of [...(node?.packages ?? []), ...Object.values(node?.platforms ?? {}).flat()]) {
        expect(name).toMatch(/.@\d+\.\d+\.\d+$/);
      }
    }
  });

  it('names models that it has where engines are verified', () => {
    for (const { definition } of catalog.services.values()) {
      const { verify } = definition;
      const model = verify && 'path' in verify && definition.kind === 'engine' ? modelOf(verify) : null;
      if (model !== null) expect(catalog.modelNames.has(model), `${definition.id}: ${model}`).toBe(true);
    }
  });

  it('has an engine for the platforms people have', () => {
    const node = catalog.services.get('llama')?.definition.run.process?.node;
    for (const platform of ['linux-x64', 'linux-arm64', 'darwin-arm64', 'darwin-x64']) {
      expect(node && nodePackages(node, platform)).toHaveLength(2);
    }
  });

  it('gives the same digest to the same bytes only', () => {
    const found = [...catalog.models.values()].flatMap(({ definition }) =>
      definition.sources.map((source) => [definition.id, source.sha256]),
    );
    const owners = new Map<string, Set<string>>();
    for (const [id, sha256] of found) if (id && sha256) owners.set(sha256, (owners.get(sha256) ?? new Set()).add(id));
    for (const ids of owners.values()) expect(ids.size).toBe(1);
  });
});

describe('catalog/schema', () => {
  it('is up to date: run `npm run schema`', async () => {
    for (const [name, text] of Object.entries(jsonSchemas())) {
      expect(await readFile(join(root, 'schema', name), 'utf8')).toBe(text);
    }
    expect((await readdir(join(root, 'schema'))).sort()).toEqual(Object.keys(jsonSchemas()).sort());
  });

  it('describes what is written, not what becomes of it', () => {
    const schemas = Object.fromEntries(
      Object.entries(jsonSchemas()).map(([name, text]) => [name, JSON.parse(text) as unknown]),
    );
    expect(schemas['service.json']).toMatchObject({
      $id: 'service.json',
      additionalProperties: false,
      required: ['id', 'name', 'summary', 'category', 'run', 'resources'],
      properties: {
        resources: { properties: { memory: { anyOf: [{ type: 'integer' }, { type: 'string' }] } } },
        kind: { enum: ['server', 'job', 'engine'], default: 'server' },
      },
    });
    expect(schemas['sutaz.json']).toMatchObject({
      properties: { scheduler: { type: ['object', 'null'], properties: { hold: { type: 'string', default: '5m' } } } },
    });
    expect(schemas['sutaz.json']).not.toHaveProperty('required');
  });
});

it('keeps the schemas where the definitions look for them', () => {
  expect(files.every(({ path }) => dirname(dirname(path)) === root)).toBe(true);
});
