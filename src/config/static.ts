import { isAbsolute } from 'node:path';
import { z } from 'zod';
import { bytes, duration, environmentValue, replicas, writablePaths } from './fields.ts';
import { limitRules } from './limits.ts';
import { middlewareSets, routeProblems, routeSettings } from './routes.ts';
import { security } from './security.ts';
import { modelTraffic, upstreamSettings } from './upstreams.ts';

/** A section that may be left out as a whole: then all of its keys have their defaults. */
const section = <S extends z.core.$ZodShape>(shape: S, description: string) =>
  z
    .strictObject(shape)
    .prefault({} as z.input<z.ZodObject<S>>)
    .describe(description);

const count = (min: number, max: number) => z.number().int().min(min).max(max);
const names = z.array(z.string().min(1));

const idle = z
  .strictObject({
    after: duration.exactOptional().describe('How long it is left alone before it goes to sleep.'),
    rung: z
      .enum(['auto', 'frozen', 'cold'])
      .exactOptional()
      .describe(
        'frozen keeps its memory image, cold ends it. auto freezes what is slow to start and keeps little while frozen.',
      ),
  })
  .describe('When it sleeps, and how deep.');

/** A service's, which may have connections that stay open. */
const serviceIdle = idle.extend({
  connections: z
    .enum(['keep', 'sleep'])
    .exactOptional()
    .describe('Whether it may be frozen while connections are open on which nothing is said (sleep) or not (keep).'),
  silence: duration.exactOptional().describe('With connections: sleep, how long nothing is said before.'),
});

const priority = count(0, 100).describe('0 to 100: larger is evicted later.');
const pinned = z.boolean().describe('Never put to sleep and never evicted.');

const gpu = z
  .enum(['off', 'auto', 'required'])
  .describe('auto: as much on a graphics card as fits. required: all of it there, or it does not start. off: none.');

const bindings = z
  .record(z.string(), z.string().min(1))
  .describe('Capabilities, each with the service that provides it, where several do.');

const sandboxMode = z
  .enum(['auto', 'off', 'strict'])
  .describe(
    'How far it is kept to its own data: auto as far as this machine can, strict with a user of its own or not at all.',
  );

const serviceSettings = z.strictObject({
  enabled: z.boolean().exactOptional().describe('false takes it out of use.'),
  run: z.enum(['process', 'docker', 'external']).exactOptional().describe('Which of the ways its definition offers.'),
  memory: bytes.exactOptional().describe('Reserved for it, in place of what its definition says and what was learned.'),
  vram: bytes
    .exactOptional()
    .describe('Reserved for it on a graphics card, in place of what its definition says and what was learned.'),
  gpu: gpu.exactOptional(),
  priority: priority.exactOptional(),
  idle: serviceIdle.exactOptional(),
  replicas: replicas.exactOptional(),
  pinned: pinned.exactOptional(),
  bindings: bindings.exactOptional(),
  env: z
    .record(z.string().regex(/^[A-Za-z_]\w*$/, 'not a name of an environment variable'), environmentValue)
    .exactOptional()
    .describe('Variables of its process, over those of its definition.'),
  sandbox: sandboxMode.exactOptional(),
  writes: writablePaths.exactOptional(),
  traffic: upstreamSettings.exactOptional(),
  fallback: names
    .exactOptional()
    .describe('Services that answer in its place, in this order, when it cannot be brought up or fails.'),
});

const context = count(256, 4_194_304).describe('Tokens for each request, prompt and answer together.');
const slots = count(1, 64).describe('How many requests a model generates at once.');

const engine = z
  .string()
  .min(1)
  .describe(
    'The engine that runs it, in place of the one its definition names: llama, llama-server, transformers, ollama, upstream.',
  );
const tokens = count(1, 16_777_216);

/** Parameters as OpenAI calls them, and those that engines here know besides. */
const defaults = z
  .strictObject({
    temperature: z.number().min(0).max(2).exactOptional(),
    top_p: z.number().min(0).max(1).exactOptional(),
    top_k: count(0, 1_000_000).exactOptional(),
    min_p: z.number().min(0).max(1).exactOptional(),
    max_tokens: tokens.exactOptional(),
    seed: z.number().int().exactOptional(),
    stop: z.array(z.string().min(1)).max(4).exactOptional(),
    frequency_penalty: z.number().min(-2).max(2).exactOptional(),
    presence_penalty: z.number().min(-2).max(2).exactOptional(),
    repeat_penalty: z.number().positive().max(10).exactOptional(),
  })
  .describe('Parameters for requests that say nothing of them.');

const requestLimits = z
  .strictObject({
    max_tokens: tokens.exactOptional().describe('Tokens an answer has at most; one that asks for more is refused.'),
    n: count(1, 16).exactOptional().describe('Answers to one request.'),
  })
  .describe('What one request may ask for.');

const prompt = z.string().min(1).describe('Put first where a conversation has no instructions of its own.');

const manner = {
  defaults: defaults.exactOptional(),
  limits: requestLimits.exactOptional(),
  prompt: prompt.exactOptional(),
};

const named = z.strictObject({
  first: names
    .min(1)
    .describe('Models by id or alias: the first that is ready answers, else the one that is so soonest.'),
  ...manner,
});

const modelSettings = z.strictObject({
  engine: engine.exactOptional(),
  context: context.exactOptional(),
  slots: slots.exactOptional(),
  gpu: gpu.exactOptional(),
  priority: priority.exactOptional(),
  idle: idle.exactOptional(),
  replicas: replicas.exactOptional(),
  pinned: pinned.exactOptional(),
  traffic: modelTraffic.exactOptional(),
  ...manner,
});

const absolute = z.string().refine(isAbsolute, 'must be an absolute path');

const tls = z
  .union([
    z.literal('auto'),
    z.strictObject({
      cert: absolute.describe('The certificate in PEM, with those it stands on behind it.'),
      key: absolute.describe('Its private key in PEM, without a passphrase.'),
    }),
  ])
  .describe(
    'Speaks TLS on the same port. auto: with a certificate of its own authority (`sutaz certs`). Files are read again when they change.',
  );

const cidr = z
  .union([z.ipv4(), z.ipv6(), z.cidrv4(), z.cidrv6()], { error: 'must be an address or a network such as 10.0.0.0/8' })
  .describe('An address, or a network.');

const listen = section(
  {
    host: z
      .string()
      .min(1)
      .default('127.0.0.1')
      .describe('The address to listen on. 0.0.0.0 opens the door to the network.'),
    port: count(0, 65_535).default(8080).describe('0 lets the system choose.'),
    hosts: names
      .default([])
      .describe('Names it answers to besides localhost and its own addresses, as in a Host header.'),
    tls: tls.exactOptional(),
    plain: z
      .enum(['local', 'all'])
      .default('local')
      .describe('With tls, who may speak HTTP without it: programs of this machine, or all.'),
    workers: z
      .union([z.literal('auto'), count(1, 64)])
      .default(1)
      .describe(
        'How many processes speak TLS and pass on long answers. 1: the platform. auto: one fewer than the cores, from 1 to 3.',
      ),
    trust: z
      .array(cidr)
      .default([])
      .describe('Proxies in front of the door, whose word on the client is taken: Forwarded, X-Forwarded-*.'),
  },
  'The door. Read at start.',
);

const memory = section(
  {
    limit: bytes
      .exactOptional()
      .describe(
        "What all units together may take. Without it the cgroup's limit or the machine's memory less the reserve.",
      ),
    reserve: bytes
      .exactOptional()
      .describe('Left to the rest of the machine. Without it a tenth of the memory, 1GiB at least.'),
    gpuReserve: bytes
      .exactOptional()
      .describe('Left free on each graphics card, beside what other programs hold there. Without it 512MiB.'),
  },
  'The ledger.',
);

const scheduler = section(
  {
    minResidency: duration.prefault('500ms').describe('A unit that has just become ready is not evicted for so long.'),
    horizon: duration
      .prefault('30s')
      .describe('What is asked for again in so long counts half, when it weighs which unit will be missed the least.'),
    hold: duration
      .prefault('5m')
      .describe('How long a plain caller is held while its unit wakes; then it is told to ask again.'),
    queue: count(1, 100_000).default(256).describe('How many requests may wait for one unit.'),
    ageing: duration
      .prefault('1m')
      .describe('Who has waited so long goes first; longer while more is asked for than the machine can do.'),
    backoff: section(
      {
        first: duration.prefault('1s').describe('Before the second try; doubled each time.'),
        max: duration.prefault('1m').describe('At most.'),
        attempts: count(1, 100).default(3).describe('Failed starts in a row before a unit is quarantined.'),
      },
      'What happens when a start fails.',
    ),
    prediction: z
      .boolean()
      .default(true)
      .describe('Learn what is asked for when and after what, and wake it ahead while memory is free.'),
    quarantine: duration.prefault('5m').describe('How long a unit that keeps failing is left alone.'),
  },
  'When units wake, wait and sleep.',
);

/** Beyond the numbers that distributions and containers give away by themselves. */
export const defaultFirstUser = 70_000;

const sandbox = section(
  {
    mode: sandboxMode.default('auto'),
    firstUser: count(1_000, 4_000_000_000)
      .default(defaultFirstUser)
      .describe('The first of 10,000 numbers for users of services, where the platform runs as root; and their group.'),
    processes: count(16, 4_194_304)
      .exactOptional()
      .describe('Processes and threads of an instance at most. Without it 512, and 32 more for each core.'),
  },
  'What services that run as processes are kept from. Read when one starts.',
);

const limits = section(
  {
    body: bytes.prefault('32MiB').describe('The largest request body to the APIs.'),
    headerTimeout: duration.prefault('30s').describe('How long a client may take to send its headers.'),
    keepAlive: duration.prefault('75s').describe('How long an idle connection is kept open.'),
    connections: count(1, 100_000).default(4096).describe('Open connections at most.'),
    headers: bytes.prefault('32KiB').describe("All of a request's headers together. Read at start."),
    headerCount: count(16, 2_000).default(128).describe('How many headers a request may have.'),
    url: bytes.prefault('8KiB').describe('The longest address of a request, path and query.'),
    streams: count(1, 10_000).default(128).describe('Requests under way on one connection of HTTP/2. Read at start.'),
    bodyTimeout: duration
      .prefault('30s')
      .describe('How long a client may send nothing, or less than bodyRate, of a body that is waited for.'),
    bodyRate: bytes.prefault('64B').describe('What a body must come to each second, as seen over bodyTimeout.'),
    rules: limitRules,
  },
  'What one client may take.',
);

const cache = section(
  {
    memory: bytes
      .prefault('0B')
      .describe('How much is kept of answers that are sure to be given again. 0B keeps none.'),
    age: duration.prefault('1h').describe('How long an answer is good.'),
    shared: z
      .boolean()
      .default(false)
      .describe('Whether an answer to one caller may be given to another who asks the very same.'),
  },
  'Answers of models that are kept in memory, for requests with temperature 0 or a seed, and embeddings.',
);

const models = section(
  {
    default: z
      .string()
      .min(1)
      .default('smollm2:135m')
      .describe('The model that `default` names, and the one `sutaz chat` talks to.'),
    engine: engine.exactOptional(),
    context: context.exactOptional(),
    slots: slots.exactOptional(),
    threads: count(1, 1024)
      .exactOptional()
      .describe('CPU threads an engine may use. Without it one fewer than the cores, at least one.'),
    gpu: gpu.exactOptional(),
    versions: count(1, 20)
      .default(2)
      .describe('How many versions of a model keep their file, the present one among them.'),
    allowPickle: z
      .boolean()
      .default(false)
      .describe('Takes model files that are pickles. Loading one runs whatever code is in it.'),
    settings: z.record(z.string(), modelSettings).default({}).describe('The same for one model each, by its id.'),
    names: z
      .record(
        z
          .string()
          .regex(/^[a-z0-9][\w.:-]*$/i, 'a name is letters, digits and . _ : -')
          .refine((name) => name !== 'default', 'models.default says what default stands for'),
        named,
      )
      .default({})
      .describe('Names of your own, each for one model or for several.'),
  },
  'Every model, and single ones.',
);

/** `sutaz.yaml`. Strict; every key has a default, so that no file is needed. */
export const configSchema = z
  .strictObject({
    listen,
    memory,
    scheduler,
    limits,
    cache,
    sandbox,
    models,
    security,
    services: z.record(z.string(), serviceSettings).default({}).describe('Choices for one service each, by its id.'),
    bindings: bindings.default({}),
    routes: routeSettings,
    middlewares: middlewareSets,
    catalog: section(
      {
        folders: z
          .array(z.string().refine(isAbsolute, 'must be an absolute path'))
          .default([])
          .describe('More folders with services/ and models/, absolute.'),
      },
      'Definitions besides the built-in ones and those in the home folder. Read at start.',
    ),
    logs: section(
      {
        level: z.enum(['debug', 'info', 'warn', 'error']).default('info').describe("The platform's own log."),
        perInstance: bytes
          .prefault('4MiB')
          .describe("The size from which a service's log starts anew; what was in it is kept once, beside it."),
        audit: bytes.prefault('4MiB').describe('The same for the log of who changed what.'),
      },
      'Logs.',
    ),
  })
  .check(({ value, issues }) => {
    if (issues.length > 0) return;
    for (const problem of routeProblems(value)) issues.push({ code: 'custom', ...problem, input: value });
  })
  .describe('The configuration of the platform.');

/** Sizes in bytes, durations in milliseconds. */
export type Config = z.output<typeof configSchema>;

/** So many keep the one busy that answers (docs/performance.md): more would wait for it. */
const mostWorkers = 3;

/** How many processes speak TLS and pass on long answers on a machine with so many cores. */
export const workersOf = (workers: Config['listen']['workers'], cores: number): number =>
  workers === 'auto' ? Math.min(mostWorkers, Math.max(1, cores - 1)) : workers;

/** Which of the changed keys only take effect when the platform starts again. */
export const changedForRestart = (before: Config, after: Config): string[] =>
  (['listen', 'catalog'] as const).flatMap((part) => {
    const [old, now]: Record<string, unknown>[] = [before[part], after[part]];
    return Object.keys(now ?? {})
      .filter((key) => JSON.stringify(old?.[key]) !== JSON.stringify(now?.[key]))
      .map((key) => `${part}.${key}`);
  });
