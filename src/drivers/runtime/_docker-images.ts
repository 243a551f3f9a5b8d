import type Dockerode from 'dockerode';
import type { OnProgress } from '#contracts/models';
import type { ImageSpec } from '#contracts/runtime';
import { abortFault, throwIfAborted } from '#kernel/abort';
import { Fault } from '#kernel/faults';
import { splitTag } from './_docker-container.ts';
import { isGone, wordsOf, type Engine } from './_docker-engine.ts';
import { pullFault } from './_docker-pull-fault.ts';

/** An image that is here. */
export interface Image {
  readonly id: string;
  /** As its registry knows it; its own id where it came from none. */
  readonly digest: string;
  /** Whether it says itself what begins a command. */
  readonly entrypoint: boolean;
  /** Where its commands are looked for. */
  readonly path: string;
  /** Who it runs as, a name or a number; empty for root. */
  readonly user: string;
  /** What asks its first process to end. */
  readonly stopSignal: string;
}

const usualPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Finds an image, or fetches it. With a digest no other one is taken, even where the tag is here. */
export async function ensureImage(
  { docker, quick, socket }: Engine,
  wanted: ImageSpec,
  { signal, onProgress }: { signal: AbortSignal; onProgress?: OnProgress },
): Promise<Image> {
  throwIfAborted(signal);
  const { name, tag } = splitTag(wanted.image);
  const pinned = wanted.digest === undefined ? null : `${name}@${wanted.digest}`;
  const here = await lookUp(quick, wanted.image, wanted.digest, signal);
  const found = here ?? (pinned === null ? null : await lookUp(quick, pinned, wanted.digest, signal));
  if (found) return found;
  await pull(docker, { fromImage: name, tag: wanted.digest ?? tag ?? 'latest' }, wanted.image, signal, onProgress);
  const fetched = await lookUp(quick, pinned ?? wanted.image, wanted.digest, signal);
  if (fetched) return fetched;
  throw new Fault('START_FAILED', `${wanted.image} was fetched, and the engine at ${socket} does not have it.`);
}

/** Null when it is not here, or is another one than the digest says. */
async function lookUp(docker: Dockerode, name: string, digest: string | undefined, signal: AbortSignal) {
  try {
    const facts = await docker.getImage(name).inspect();
    throwIfAborted(signal);
    const image = describe(facts);
    const own = [facts.Id, ...(facts.RepoDigests ?? []).map((one) => one.slice(one.indexOf('@') + 1))];
    if (digest !== undefined && !own.includes(digest)) return null;
    return digest === undefined ? image : { ...image, digest };
  } catch (error) {
    if (signal.aborted) throw abortFault(signal);
    if (isGone(error)) return null;
    throw error;
  }
}

function describe({ Id, RepoDigests, Config }: Dockerode.ImageInspectInfo): Image {
  const variables = Config.Env ?? [];
  const path = variables.find((line) => line.startsWith('PATH='))?.slice('PATH='.length);
  const [known] = RepoDigests ?? [];
  const { Entrypoint, StopSignal, User } = Config as {
    readonly Entrypoint?: unknown[] | string | null;
    readonly StopSignal?: string;
    readonly User?: string;
  };
  return {
    id: Id,
    digest: known?.slice(known.indexOf('@') + 1) ?? Id,
    entrypoint: (Entrypoint?.length ?? 0) > 0,
    path: path ?? usualPath,
    user: User ?? '',
    stopSignal: StopSignal || 'SIGTERM',
  };
}

/** A line of a pull, as the engine writes them. */
export interface PullLine {
  readonly id?: string;
  readonly status?: string;
  readonly error?: string;
  readonly progressDetail?: { readonly current?: number; readonly total?: number };
}

async function pull(
  docker: Dockerode,
  from: { readonly fromImage: string; readonly tag: string },
  image: string,
  signal: AbortSignal,
  onProgress: OnProgress = () => undefined,
): Promise<void> {
  const add = sumOfLayers(image, onProgress);
  try {
    // A client that leaves ends the engine's pull; what it has of layers by then stays and is not fetched again.
    const stream = await docker.createImage({ ...from, abortSignal: signal });
    await new Promise<void>((resolve, reject) => {
      // What fails once it has begun is a line of its own, and no error to the client.
      const take = (line: PullLine) => (line.error === undefined ? add(line) : reject(new Error(line.error)));
      docker.modem.followProgress(stream, (error) => (error ? reject(error) : resolve()), take);
    });
  } catch (error) {
    if (signal.aborted) throw abortFault(signal);
    throw pullFault(image, wordsOf(error), error);
  }
}

/** Bytes of all layers of an image so far, told with each line that changes them. */
export function sumOfLayers(what: string, onProgress: OnProgress): (line: PullLine) => void {
  const layers = new Map<string, { done: number; total: number }>();
  return ({ id, status, progressDetail }) => {
    const { current = 0, total = 0 } = progressDetail ?? {};
    const known = id === undefined ? undefined : layers.get(id);
    if (id !== undefined && status === 'Downloading' && total > 0) layers.set(id, { done: current, total });
    // A layer that is unpacked is here: its own counts begin anew with it.
    else if (known && (status === 'Download complete' || status === 'Extracting')) known.done = known.total;
    else return;
    const sum = (of: 'done' | 'total') => [...layers.values()].reduce((bytes, layer) => bytes + layer[of], 0);
    onProgress({ phase: 'downloading', what, done: sum('done'), total: sum('total') });
  };
}
