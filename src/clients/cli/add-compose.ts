/** One service of a compose file as a way to run it here. What a catalogue has no place for is told, not left out in silence. */
import { parse } from 'yaml';
import type { Container } from './add-draft.ts';
import { splitCommand } from './add-draft.ts';
import { usageError } from './failure.ts';

type Mapping = Readonly<Record<string, unknown>>;
const isMapping = (value: unknown): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export interface Composed {
  readonly name: string;
  readonly container: Container;
  /** Keys that were left out, in words for the user. */
  readonly notes: readonly string[];
}

type Environment = Readonly<Record<string, string | undefined>>;

/** `wanted` names one of several services. Variables (`${NAME}`, `${NAME:-otherwise}`) are filled in from `environment`. */
export function fromCompose(text: string, wanted: string | undefined, environment: Environment): Composed {
  const document: unknown = parsed(text);
  const services = isMapping(document) && isMapping(document.services) ? document.services : {};
  const name = chosen(Object.keys(services), wanted);
  const service = substituted(services[name], environment);
  if (!isMapping(service)) throw usageError(`The service ${name} is empty.`);
  if (typeof service.image !== 'string') {
    throw usageError(`The service ${name} has no image: build it, push it, and name it there.`);
  }
  const port = portOf(service.ports) ?? portOf(service.expose);
  const container: Container = {
    image: service.image,
    ...(port !== null && { port }),
    ...filled('volumes', volumesOf(service.volumes)),
    ...(service.command != null && { command: commandOf(service.command) }),
    ...filled('env', environmentOf(service.environment)),
  };
  return { name, container, notes: notesOf(service) };
}

function parsed(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw usageError(`The compose file is not valid YAML: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function chosen(names: readonly string[], wanted: string | undefined): string {
  const [first] = names;
  if (first === undefined) throw usageError('The compose file has no services.');
  if (wanted === undefined && names.length > 1) throw usageError(`Which service? Give --service: ${names.join(', ')}.`);
  if (wanted !== undefined && !names.includes(wanted)) {
    throw usageError(`The compose file has no service ${wanted}. It has ${names.join(', ')}.`);
  }
  return wanted ?? first;
}

function substituted(value: unknown, environment: Environment): unknown {
  if (Array.isArray(value)) return value.map((one) => substituted(one, environment));
  if (isMapping(value)) {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, substituted(one, environment)]));
  }
  if (typeof value !== 'string') return value;
  return value.replace(/\$\{(\w+)(?::?-([^}]*))?[^}]*\}/g, (_, name: string, otherwise?: string) => {
    const found = environment[name] ?? otherwise;
    if (found === undefined)
      throw usageError(`The compose file asks for ${name}: set it, as in ${name}=... sutaz add ...`);
    return found;
  });
}

/** The port inside, of `8080:80/tcp`, `127.0.0.1:8080:80`, `80` or `{ target: 80 }`; null where there is none. */
function portOf(ports: unknown): number | null {
  const [first] = Array.isArray(ports) ? (ports as unknown[]) : [];
  const target = isMapping(first) ? first.target : first;
  const port = Number(
    String(target ?? '')
      .split('/')[0]
      ?.split(':')
      .at(-1),
  );
  return Number.isInteger(port) && port > 0 ? port : null;
}

/** Folders of the host and named volumes alike become folders of its data: nothing else of this machine is handed in. */
function volumesOf(volumes: unknown): Record<string, string> {
  const entries = (Array.isArray(volumes) ? (volumes as unknown[]) : []).flatMap((one) => {
    const target = isMapping(one)
      ? one.target
      : String(one)
          .replace(/:(ro|rw|z|Z)$/, '')
          .split(':')
          .at(-1);
    return typeof target === 'string' ? [target] : [];
  });
  const named = (target: string) => target.split('/').filter(Boolean).join('-');
  if (entries.length === 1) return { '{data}': entries[0] as string };
  return Object.fromEntries(entries.map((target) => [`{data}/${named(target)}`, target]));
}

function environmentOf(given: unknown): Record<string, string> {
  const pairs = Array.isArray(given)
    ? given.map((one) => String(one).split(/=(.*)/s, 2) as [string, string?])
    : Object.entries(isMapping(given) ? given : {});
  return Object.fromEntries(pairs.filter(([, value]) => value != null).map(([name, value]) => [name, String(value)]));
}

const commandOf = (command: unknown): string[] =>
  Array.isArray(command) ? command.map(String) : splitCommand(String(command));

const filled = (key: string, value: Readonly<Record<string, string>>) =>
  Object.keys(value).length > 0 ? { [key]: value } : {};

const kept = ['image', 'ports', 'expose', 'volumes', 'command', 'environment', 'restart', 'container_name'];

function notesOf(service: Mapping): string[] {
  const left = Object.keys(service).filter((key) => !kept.includes(key));
  return left.map((key) =>
    key === 'depends_on' ? 'depends_on was left out: name what it needs under `needs`' : `${key} was left out`,
  );
}
