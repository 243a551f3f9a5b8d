import { arch, platform as hostPlatform } from 'node:process';
import { z } from 'zod';
import { bytes, duration, environmentValue, replicas, url, writablePaths } from '#config/fields';
import { elsewhere } from '#config/upstreams';
import { serviceRoutes } from './routes.ts';
import { verify } from './verify.ts';

const id = z
  .string()
  .regex(
    /^[a-z0-9]+(-[a-z0-9]+)*$/,
    'an id is lower-case words joined by hyphens, as in node-red: it is part of addresses',
  );
const template = z.string().min(1);
const environment = z.record(
  z.string().regex(/^[A-Za-z_]\w*$/, 'not a name of an environment variable'),
  environmentValue,
);
const command = z.array(template).min(1).describe('The argument list; never a shell line.');

const python = z
  .strictObject({
    version: z.string().default('>=3.10').describe('The interpreters that fit, as in >=3.10,<3.13.'),
    packages: z.array(z.string().min(1)).min(1).describe('Requirements as pip writes them: chromadb==1.5.9.'),
    build: environment
      .exactOptional()
      .describe('Variables for packages that are built from source: CMAKE_ARGS. No placeholders.'),
    unless: z
      .string()
      .regex(/^[\w.+-]+$/, 'must be the name of a program, without a folder')
      .exactOptional()
      .describe('A program: where the machine has it on its PATH, no environment is made.'),
  })
  .describe('A Python environment, made by uv from one shared cache.');

const packages = z.array(z.string().min(1)).min(1);

const node = z
  .strictObject({
    packages: packages.describe('Packages as npm writes them: node-red@5.0.7.'),
    platforms: z
      .record(
        z.string().regex(/^[a-z0-9]+-[a-z0-9]+(-cuda)?$/, 'a platform is written as linux-x64 or darwin-arm64'),
        packages,
      )
      .exactOptional()
      .describe(
        'More packages for one platform each; when this is given, no other platform can run it. Under linux-x64-cuda: what a graphics card needs beside those.',
      ),
    overrides: z.record(z.string(), z.string()).default({}),
    allowBuilds: z.array(z.string()).default([]).describe('Packages whose install scripts may run.'),
    omitOptional: z.boolean().default(false).describe('Leaves optional dependencies out.'),
  })
  .describe('A Node environment, made by pnpm from one shared store.');

const process = z
  .strictObject({
    python: python.optional(),
    node: node.optional(),
    requires: z
      .record(z.string().regex(/^[\w.+-]+$/, 'must be the name of a program, without a folder'), z.string().min(1))
      .exactOptional()
      .describe('Programs of the machine that it cannot do without, each with what a person installs to have it.'),
    writes: writablePaths.exactOptional(),
    command,
    env: environment.default({}),
  })
  .refine((run) => !(run.python && run.node), 'needs one environment, python or node, not both')
  .describe('A plain process of this machine.');

const docker = z
  .strictObject({
    image: z.string().min(1).describe('By its tag; fetched when it is not here.'),
    digest: z
      .string()
      .regex(/^sha256:[0-9a-f]{64}$/)
      .exactOptional()
      .describe('The image that it must be, whatever the tag says by now.'),
    port: z.number().int().min(1).max(65535).describe('Where it listens inside.'),
    volumes: z
      .record(
        z
          .string()
          .regex(
            /^\{(data|service)\}(\/(?!\.\.?(\/|$))[^/]+)*$/,
            'a folder is {data}, {service} (which is only read), or one within',
          ),
        z.string().startsWith('/', 'must be a place inside that starts with /'),
      )
      .default({})
      .describe('Folders of this machine, and where each is inside.'),
    command: command.exactOptional().describe('The argument list; without it what the image says.'),
    env: environment.default({}),
    user: z
      .string()
      .regex(/^[\w.-]+(:[\w.-]+)?$/, 'a user is written as 1000, 1000:1000 or by name')
      .exactOptional()
      .describe('Who it runs as; without it as the image says.'),
    readOnly: z.boolean().default(false).describe('It may write nothing but its volumes and /tmp.'),
    init: z
      .boolean()
      .default(true)
      .describe('A small first process stands before its own. false: the image brings one (s6).'),
    group: z
      .string()
      .regex(/^[a-z0-9]+(-[a-z0-9]+)*$/, 'a group is lower-case words joined by hyphens')
      .exactOptional()
      .describe('Containers of one group reach one another; without it nobody but the door reaches it.'),
    limits: z
      .strictObject({
        memory: bytes.exactOptional().describe('Beyond this the kernel kills it.'),
        cpu: z.number().positive().exactOptional().describe('Cores, also in parts.'),
        pids: z.number().int().min(1).exactOptional().describe('Processes and threads; 4096 without it.'),
      })
      .default({}),
  })
  .describe('A container.');

const external = z
  .strictObject({ url: url.exactOptional(), ...elsewhere })
  .refine((run) => (run.url ?? run.upstreams) !== undefined, 'needs its address: url, or several as upstreams')
  .refine((run) => run.url === undefined || run.upstreams === undefined, 'takes url or upstreams, not both')
  .describe('One that runs elsewhere already: routed, limited and traced, never started or stopped.');

const health = z
  .union([
    z.strictObject({
      http: z.string().startsWith('/', 'must be a path that starts with /'),
      startupTimeout: duration.optional(),
    }),
    z.strictObject({ tcp: z.literal(true), startupTimeout: duration.optional() }),
    z.strictObject({ log: z.string().min(1), startupTimeout: duration.optional() }),
  ])
  .describe('How to see that it is ready: a path that answers 2xx, an open port, or a line of its log.');

const grant = z
  .strictObject({
    command: command
      .exactOptional()
      .describe('Makes the account of one consumer, before each of its starts: it must bear being run again.'),
    env: environment.default({}),
    values: z
      .record(z.string().regex(/^[a-z][a-z0-9]*$/i, 'must be a word: it becomes {<capability>.word}'), template)
      .refine((values) => Object.keys(values).length > 0, 'needs at least one value')
      .describe('What a consumer is told, as {<capability>.url}.'),
  })
  .describe('An account of its own for each consumer. Without it a consumer is told an address at the door.');

/** The categories of the catalogue, as the console groups them. */
export const categories = [
  ...['inference', 'vector-db', 'workflow', 'agent', 'dev-tool', 'document', 'speech', 'image', 'web'],
  ...['ui', 'memory', 'search', 'observability', 'infra', 'tool'],
] as const;

export const serviceSchema = z.strictObject({
  id,
  name: z.string().min(1),
  summary: z.string().min(1),
  homepage: url.optional(),
  license: z.string().optional(),
  category: z.enum(categories),
  tier: z
    .enum(['core', 'persistent', 'on-demand'])
    .default('on-demand')
    .describe(
      'core: always on. persistent: long-running, sleeps late. on-demand: starts when asked, sleeps when idle.',
    ),
  priority: z.number().int().min(0).max(100).default(50).describe('Larger is evicted later.'),
  kind: z
    .enum(['server', 'job', 'engine'])
    .default('server')
    .describe('server: answers on a port. job: a command that ends. engine: a server that runs once per loaded model.'),
  job: z
    .strictObject({
      folder: z
        .string()
        .regex(/^--?[a-z][a-z-]*$/, 'must be an option, as in --repo')
        .exactOptional()
        .describe('The option by which people name the folder it is to work in; it is taken out of its arguments.'),
      time: duration.exactOptional().describe('How long a run may take. 1h without it.'),
      memory: bytes.exactOptional().describe('What a run may weigh at most. Twice what it weighs without it.'),
    })
    .exactOptional()
    .describe('Jobs: how their runs are bounded.'),
  models: z
    .enum(['gguf', 'onnx', 'remote'])
    .default('gguf')
    .describe(
      'Engines: what they load. The memory of a GGUF model is planned from its header; remote ones have no file here.',
    ),
  run: z
    .strictObject({ process: process.optional(), docker: docker.optional(), external: external.optional() })
    .refine((run) => run.process ?? run.docker ?? run.external, 'needs at least one of process, docker, external')
    .describe('The ways to run it; the first that this machine can do is used.'),
  protocol: z
    .enum(['http1', 'h2c'])
    .default('http1')
    .describe(
      'What it speaks on its port. h2c: HTTP/2 without TLS, as gRPC does; such a service is asked that way only.',
    ),
  health: health.default({ tcp: true }),
  resources: z.strictObject({
    memory: bytes.describe('What it weighs until something was learned.'),
    cpu: z.number().positive().default(1),
    gpu: z.enum(['none', 'optional', 'required']).default('none'),
    vram: bytes.exactOptional().describe('What it holds on a graphics card. An engine needs none: its models say it.'),
    concurrency: z.number().int().min(1).default(32).describe('How many requests it serves at once.'),
  }),
  weight: z
    .strictObject({ http: z.string().startsWith('/', 'must be a path that starts with /') })
    .exactOptional()
    .describe('A path that answers {"bytes": n}: memory it takes outside of its own processes, counted with them.'),
  idle: z
    .strictObject({
      after: duration.optional().describe('Without it 10m on demand, 30m persistent.'),
      rung: z
        .enum(['auto', 'frozen', 'cold'])
        .optional()
        .describe(
          'frozen keeps its memory image, cold ends it. auto, the default, freezes what is slow to start and keeps little.',
        ),
      connections: z
        .enum(['keep', 'sleep'])
        .optional()
        .describe(
          'keep, the default: it is busy for as long as a connection is open. sleep: it may be frozen while nothing is said on any, and wakes on the next byte.',
        ),
      silence: duration
        .optional()
        .describe('With connections: sleep, how long nothing is said before. 30s without it.'),
    })
    .default({}),
  replicas: replicas.default({ min: 1, max: 1 }),
  stop: z.strictObject({ grace: duration.optional() }).default({}),
  provides: z.array(z.string().min(1)).default([]).describe('Capabilities, as in vectors.chroma.'),
  grants: z
    .record(z.string(), grant)
    .exactOptional()
    .describe('Capabilities of `provides` of which each consumer gets an account of its own: a database, say.'),
  consumes: z
    .record(z.string(), environment)
    .default({})
    .describe('For each capability it uses, the variables that tell it where: {openai.url}, {key}.'),
  needs: z.array(z.string()).default([]).describe('Services that are made ready before it starts.'),
  routes: serviceRoutes,
  verify: verify.exactOptional(),
});

/** A service's definition as its file says it, defaults filled in, sizes in bytes and durations in milliseconds. */
export type ServiceDefinition = z.output<typeof serviceSchema>;

/** What this machine installs for a Node environment; null when the definition has nothing for its platform. */
export function nodePackages(
  { packages: common, platforms }: Pick<z.output<typeof node>, 'packages' | 'platforms'>,
  platform = `${hostPlatform}-${arch}`,
): readonly string[] | null {
  if (!platforms) return common;
  return Object.hasOwn(platforms, platform) ? [...common, ...(platforms[platform] ?? [])] : null;
}

/** The same way to run with what a graphics card needs beside it, where the definition names something. */
export function withCuda(run: ProcessRun, platform = `${hostPlatform}-${arch}`): ProcessRun {
  const more = run.node?.platforms?.[`${platform}-cuda`];
  if (!run.node || !more) return run;
  const { python: _none, ...rest } = run;
  return { ...rest, node: { ...run.node, packages: [...run.node.packages, ...more] } };
}

/** The address of what runs elsewhere: that of the first place where it does. */
export const addressElsewhere = ({ run }: Pick<ServiceDefinition, 'run'>): string | null =>
  run.external?.url ?? run.external?.upstreams?.[0]?.url ?? null;

export type ProcessRun = NonNullable<ServiceDefinition['run']['process']>;
export type Grant = z.output<typeof grant>;
export type DockerRun = NonNullable<ServiceDefinition['run']['docker']>;
export type HealthCheck = ServiceDefinition['health'];
