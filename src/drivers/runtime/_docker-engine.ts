import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type Dockerode from 'dockerode';
import { Fault, systemCode, toFault } from '#kernel/faults';
import { isRecord } from '#kernel/json';

/** The engine's own socket where `DOCKER_HOST` names none, and that of an engine without root. */
const usual = '/var/run/docker.sock';

/** A connection to an engine of this machine, on its HTTP API. */
export interface Engine {
  readonly docker: Dockerode;
  /** The same for what an engine does at once. One that takes a connection and says nothing is as good as away. */
  readonly quick: Dockerode;
  readonly socket: string;
}

/** Milliseconds for what an engine does at once, also under load. */
const usualPatienceMs = 15_000;

/**
 * The socket of this machine's engine. One on another machine is refused: it has neither the folders that are mounted
 * nor the loopback address under which the door reaches what runs there.
 */
export function findSocket(env: NodeJS.ProcessEnv): string {
  const host = env['DOCKER_HOST'];
  if (host) {
    if (host.startsWith('unix://')) return host.slice('unix://'.length);
    throw new Fault(
      'NOT_SUPPORTED',
      `DOCKER_HOST is ${host}: containers need an engine of this machine, as in unix://${usual}, since folders are mounted from here and ports are reached on 127.0.0.1.`,
    );
  }
  const own = env['XDG_RUNTIME_DIR'] && join(env['XDG_RUNTIME_DIR'], 'docker.sock');
  return own && !existsSync(usual) && existsSync(own) ? own : usual;
}

/** Why there can be no container here; null where there is a socket to ask. It is a look at the disk, and asks nobody. */
export function whyNoEngine(env: NodeJS.ProcessEnv): string | null {
  try {
    const socket = findSocket(env);
    if (existsSync(socket)) return null;
    return `there is no Docker engine here (no socket at ${socket}): start one, or name its socket in DOCKER_HOST`;
  } catch (error) {
    return toFault(error).message;
  }
}

/** Loads the client and asks the engine whether it is there. */
export async function connect(socket: string, patienceMs = usualPatienceMs): Promise<Engine> {
  // Its BuildKit part loads gRPC: some 32 MiB that a platform without containers does not spend.
  const { default: Client } = await import('dockerode');
  const engine = {
    ...{ docker: new Client({ socketPath: socket }), socket },
    quick: new Client({ socketPath: socket, timeout: patienceMs }),
  };
  try {
    await engine.quick.ping();
  } catch (error) {
    throw engineFault(error, socket);
  }
  return engine;
}

/** The status an engine answered with; undefined when it did not answer. */
export function statusOf(error: unknown): number | undefined {
  const status = isRecord(error) ? error['statusCode'] : undefined;
  return typeof status === 'number' ? status : undefined;
}

export const isGone = (error: unknown): boolean => statusOf(error) === 404;

/** What the engine said, without the words with which its client begins every error. */
export function wordsOf(error: unknown): string {
  const json = isRecord(error) && isRecord(error['json']) ? error['json']['message'] : undefined;
  if (typeof json === 'string') return json;
  return error instanceof Error ? error.message : String(error);
}

/** An error of the engine as what it means for whoever runs it. One with a meaning already stays as it is. */
export function engineFault(error: unknown, socket: string): Fault {
  if (error instanceof Fault) return error;
  if (statusOf(error) !== undefined) return new Fault('START_FAILED', wordsOf(error), { cause: error });
  const otherwise = 'or have the service run another way, as in `services: { NAME: { run: process } }`';
  const code = systemCode(error);
  const why =
    code === 'EACCES'
      ? `the socket ${socket} of the Docker engine may not be opened: add the platform's user to its group, ${otherwise}`
      : `no Docker engine answers at ${socket} (${code ?? wordsOf(error)}): start it, name its socket in DOCKER_HOST, ${otherwise}`;
  return new Fault('START_FAILED', `${why}.`, { cause: error });
}
