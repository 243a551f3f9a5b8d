import type { Path } from '#config/walk';
import { didYouMean } from '#kernel/nearest';
import { doorCapabilities, edgesOf, providersOf, tellWay, wayBetween, wiredNames } from './bindings.ts';
import type { Edge } from './bindings.ts';
import type { ModelDefinition } from './model.ts';
import { strangePlaceholders, takesPort } from './placeholders.ts';
import type { ServiceDefinition } from './service.ts';
import { whyNotVerified } from './verify.ts';

/** What only the whole catalogue can see of one definition. */
export interface Rejection {
  readonly id: string;
  readonly path: Path;
  readonly message: string;
}

type Services = readonly ServiceDefinition[];

/** `disabled`: ids that are known and out of use, for a message that leads to the cause. */
export function* checkServices(services: Services, disabled: ReadonlySet<string>): Generator<Rejection> {
  const byId = new Map(services.map((service) => [service.id, service]));
  const provided = new Set([...doorCapabilities, ...services.flatMap(({ provides }) => provides)]);
  const wired = new Set(wiredNames(services));
  const known = new Map(services.map((service) => [service.id, edgesOf(service, services)]));
  const edges = (id: string): readonly Edge[] => known.get(id) ?? [];
  for (const service of services) {
    const { id } = service;
    yield* checkNeeds(service, byId, disabled);
    yield* checkConsumes(service, services, provided);
    yield* checkGrants(service);
    yield* checkWay(service, edges);
    for (const found of strangePlaceholders(service, wired)) yield { id, ...found };
    if (service.kind === 'engine' && !service.run.process && service.run.external && service.models !== 'remote') {
      const message = 'an engine that runs elsewhere has its models there: `models: remote`';
      yield { id, path: ['models'], message };
    }
    if (service.job && service.kind !== 'job') yield { id, path: ['job'], message: 'is for jobs: `kind: job`' };
    const single = service.replicas.max > 1 ? whyNotCopied(service) : null;
    if (single !== null) yield { id, path: ['replicas'], message: single };
    const unfit = service.verify ? whyNotVerified(service.kind, service.verify) : null;
    if (unfit !== null) yield { id, path: ['verify'], message: unfit };
  }
}

/** Why there is only ever one instance of it; null for what may have copies. */
export function whyNotCopied(service: ServiceDefinition): string | null {
  const { kind, run } = service;
  if (kind === 'job') return 'a job is a command that ends: it has no copies';
  if (kind === 'engine') return 'an engine runs for each model: its models say how many of each there are';
  if (!run.process && !run.docker) return 'what runs elsewhere is not started here, and so has no copies here';
  if (run.process && !takesPort(service))
    return 'each copy listens on a port of its own: its command or env must take {port}';
  return null;
}

function* checkNeeds(
  { id, needs }: ServiceDefinition,
  byId: ReadonlyMap<string, ServiceDefinition>,
  disabled: ReadonlySet<string>,
): Generator<Rejection> {
  for (const [i, name] of needs.entries()) {
    const path = ['needs', i];
    if (!byId.has(name)) {
      const known = [...byId.keys()].filter((other) => other !== id);
      const strange = `no service is called ${name}.${didYouMean(name, known)}`;
      yield { id, path, message: disabled.has(name) ? `${name} is disabled` : strange };
      continue;
    }
  }
}

function* checkConsumes(
  { id, consumes }: ServiceDefinition,
  services: Services,
  provided: ReadonlySet<string>,
): Generator<Rejection> {
  for (const name of Object.keys(consumes)) {
    const path = ['consumes', name];
    if (!provided.has(name)) {
      yield { id, path, message: `nothing provides ${name}.${didYouMean(name, provided)}` };
    } else if (!doorCapabilities.includes(name) && providersOf(name, id, services).length === 0) {
      yield { id, path, message: `nothing provides ${name} but ${id} itself` };
    }
  }
}

function* checkGrants({ id, grants = {}, provides }: ServiceDefinition): Generator<Rejection> {
  for (const name of Object.keys(grants)) {
    if (provides.includes(name)) continue;
    yield { id, path: ['grants', name], message: `it does not provide ${name}.${didYouMean(name, provides)}` };
  }
}

/** A service that stands on itself, by others or at once, could never be the first to start. */
function* checkWay({ id, needs }: ServiceDefinition, edges: (id: string) => readonly Edge[]): Generator<Rejection> {
  for (const edge of edges(id)) {
    const rest = wayBetween(edge.to, id, edges);
    if (!rest) continue;
    const path = edge.capability === null ? ['needs', needs.indexOf(edge.to)] : ['consumes', edge.capability];
    yield { id, path, message: `a service cannot depend on itself: ${tellWay([edge, ...rest])}` };
  }
}

/** Why an engine's models cannot be at several places; null where they can. */
function whyAtOnePlace({ id, models, weight }: ServiceDefinition): string | null {
  if (models !== 'remote') return `${id} loads a file: several servers are for engines that have models elsewhere`;
  return weight === undefined ? null : `${id} has models loaded and let go at one server: give it as url`;
}

export function* checkModels(
  models: readonly ModelDefinition[],
  services: Services,
  disabled: ReadonlySet<string>,
): Generator<Rejection> {
  const kinds = new Map(services.flatMap((one) => (one.kind === 'engine' ? [[one.id, one] as const] : [])));
  const engines = [...kinds.keys()];
  for (const { id, engine, sources, remote } of models) {
    const known = kinds.get(engine);
    if (known) {
      const isHere = known.models !== 'remote';
      if (isHere && sources.length === 0) yield { id, path: ['sources'], message: `is needed: ${engine} loads a file` };
      const single = remote?.upstreams ? whyAtOnePlace(known) : null;
      if (single !== null) yield { id, path: ['remote', 'upstreams'], message: single };
      continue;
    }
    const strange = `no engine is called ${engine}.${didYouMean(engine, engines)}`;
    yield { id, path: ['engine'], message: disabled.has(engine) ? `its engine ${engine} is disabled` : strange };
  }
}
