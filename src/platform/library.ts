import type { CatalogSource } from '#catalog/source';
import type { ApiModelDetails } from '#contracts/api';
import type { ModelSource, OnProgress } from '#contracts/models';
import type { ApiVerified, ApiViewKind } from '#contracts/store-api';
import type { Clock } from '#kernel/clock';
import { Fault, toFault } from '#kernel/faults';
import { unitId } from '#kernel/ids';
import type { Library } from '#edge/store-routes';
import { readGguf } from '#models/gguf';
import { describeSource, pinned } from '#models/pull';
import type { Puller } from '#models/pull';
import { matchVersion, parseDigest, parseReference } from '#models/reference';
import type { ModelStore } from '#models/store';
import { verifyModels } from '#models/verify';
import type { ViewedModel } from '#models/views/view';
import type { Viewed, Views } from '#models/views/views';
import type { Scheduler } from '#scheduler/run-loop';
import type { Directory } from '#units/directory';
import type { Units } from '#units/units';
import { importInto } from './importing.ts';
import type { ImportingDeps } from './importing.ts';
import { versionViews } from './model-facts.ts';

export interface LibraryDeps extends Omit<ImportingDeps, 'refresh'> {
  readonly catalog: CatalogSource;
  readonly directory: Directory;
  readonly units: Pick<Units, 'plans' | 'preparing'>;
  readonly scheduler: Pick<Scheduler, 'state'>;
  readonly models: ModelStore;
  readonly puller: Puller;
  readonly modelViews: Views;
  readonly clock: Clock;
  readonly details: (id: string) => Promise<ApiModelDetails>;
}

export interface OwnLibrary extends Library {
  pull(name: string, signal: AbortSignal, onProgress: OnProgress, update: boolean): Promise<ApiModelDetails>;
  remove(name: string): Promise<void>;
}

/** What people do to the model store, with what follows from it: plans, preparations and views. */
export function createLibrary(deps: LibraryDeps): OwnLibrary {
  const { models, puller, modelViews } = deps;
  const find = (name: string) => {
    const { name: bare, digest } = parseReference(name);
    return { id: deps.directory.model(bare).definition.id, digest };
  };
  const refresh = () => void modelViews.refresh((id) => viewedModel(id, deps));
  models.onChange(refresh);
  // An earlier process may have ended between a model's going and its views'.
  refresh();
  return {
    pull: (name, signal, onProgress, update) => pull(find(name), { signal, onProgress, update }, deps),
    remove: (name) => remove(find(name), deps),
    async versions(name) {
      const { id } = find(name);
      return { id, held: mustBeHere(id, deps).held, versions: await versionViews(id, models) };
    },
    async rollback(name, given) {
      const { id, digest } = find(name);
      mustBeHere(id, deps);
      await models.rollback(id, (given === null ? digest : parseDigest(given)) ?? undefined);
      await changed(id, deps);
      return deps.details(id);
    },
    pulling(name) {
      const { id } = find(name);
      const ended = puller.ended(id);
      return ended && { progress: () => puller.running().get(id) ?? null, ended };
    },
    async verify(names, repair, signal, onProgress) {
      const ids = names.length > 0 ? names.map((name) => find(name).id) : models.list().map(({ name }) => name);
      for (const id of ids) mustBeHere(id, deps);
      return verify([...new Set(ids)], repair, signal, onProgress, deps);
    },
    async collect(options) {
      await modelViews.refresh((id) => viewedModel(id, deps));
      return { dryRun: options.dryRun, ...(await models.collect(options)) };
    },
    async importFrom(ask, signal, onProgress) {
      const refresh = async (ids: readonly string[]) => {
        await deps.catalog.refresh();
        for (const id of ids) await changed(id, deps);
      };
      return importInto(ask, signal, onProgress, { ...deps, refresh });
    },
    view: (kind, names) => view(kind, names.length > 0 ? names.map((name) => find(name).id) : null, deps),
  };
}

interface Asked {
  readonly id: string;
  readonly digest: string | null;
}

function mustBeHere(id: string, { models }: Pick<LibraryDeps, 'models'>) {
  const stored = models.get(id);
  if (stored) return stored;
  throw new Fault('NOT_FOUND', `${id} is not here: \`sutaz models pull ${id}\` fetches it.`, { param: 'model' });
}

/** Another file, or none: it is looked at anew by whoever asks next. */
async function changed(
  id: string,
  { units, modelViews, ...deps }: Pick<LibraryDeps, 'units' | 'modelViews' | 'models' | 'directory'>,
) {
  units.preparing.forget(unitId('model', id));
  await units.plans.tryRefresh(id);
  await modelViews.refresh((other) => viewedModel(other, deps));
}

async function pull(
  { id, digest }: Asked,
  { signal, onProgress, update }: { signal: AbortSignal; onProgress: OnProgress; update: boolean },
  deps: LibraryDeps,
): Promise<ApiModelDetails> {
  const { definition } = deps.directory.model(id);
  const { size } = definition;
  if (digest === null) {
    await deps.puller.pull(id, definition.sources, { signal, onProgress, size, update, byHand: true });
  } else {
    await pullVersion({ id, digest }, definition.sources, { signal, onProgress, size }, deps);
  }
  await changed(id, deps);
  return deps.details(id);
}

/** One version and no other: the one that is here, or what the sources have under that digest. The name is held there. */
async function pullVersion(
  { id, digest }: { readonly id: string; readonly digest: string },
  sources: readonly ModelSource[],
  options: { readonly signal: AbortSignal; readonly onProgress: OnProgress; readonly size: number },
  { models, puller }: LibraryDeps,
): Promise<void> {
  const known = models.get(id)?.versions ?? [];
  const sha256 = digest.length === 64 ? digest : matchVersion(id, digest, known).sha256;
  const blob = models.damage(sha256) ? null : await models.blob(sha256);
  const isHere = blob !== null && known.some((version) => version.sha256 === sha256);
  if (!isHere) {
    const wanted = pinned(sources, sha256);
    if (wanted.length === 0)
      throw new Fault('NOT_FOUND', `No source of ${id} has sha256:${digest}.`, { param: 'model' });
    await puller.pull(id, wanted, { ...options, byHand: true });
  }
  // Held even where it is the present one: the definition may promise another.
  await models.rollback(id, sha256);
}

async function remove({ id, digest }: Asked, deps: LibraryDeps): Promise<void> {
  const { models, scheduler, modelViews } = deps;
  if (!models.get(id)) {
    throw new Fault('NOT_FOUND', `${id} is not here: there is nothing to remove.`, { param: 'model' });
  }
  if (digest !== null) {
    await models.removeVersion(id, digest);
    return;
  }
  const loaded = scheduler.state.units.get(unitId('model', id));
  if (loaded && 'bytes' in loaded.phase) {
    throw new Fault('CONFLICT', `${id} is loaded (${loaded.phase.kind}): stop it first with \`sutaz stop ${id}\`.`);
  }
  // Its links go first: what they keep would not be given back.
  await modelViews.drop(id);
  await models.remove(id);
  await changed(id, deps);
}

async function verify(
  ids: readonly string[],
  repair: boolean,
  signal: AbortSignal,
  onProgress: OnProgress,
  deps: LibraryDeps,
): ReturnType<Library['verify']> {
  const files: ApiVerified[] = [];
  for (const { names, ...file } of await verifyModels(deps.models, ids, { signal, onProgress, clock: deps.clock })) {
    const broken = file.problem === null ? [] : names.filter(({ present }) => present).map(({ name }) => name);
    // Whoever asks next must not be given it.
    for (const id of broken) deps.units.preparing.forget(unitId('model', id));
    const failed = repair && file.problem !== null ? await mend(broken, signal, onProgress, deps) : null;
    const repaired = repair && broken.length > 0 && failed === null;
    files.push({ ...file, models: names.map(({ name }) => name), repaired, repairFailed: failed });
  }
  return { files };
}

/** Fetches the file of these names again; why not when it fails, of which the other files are told all the same. */
async function mend(
  ids: readonly string[],
  signal: AbortSignal,
  onProgress: OnProgress,
  deps: LibraryDeps,
): Promise<string | null> {
  if (ids.length === 0) return 'it is an earlier version: pull it by its digest, or remove it';
  for (const id of ids) {
    try {
      const { sources, size } = deps.directory.model(id).definition;
      await deps.puller.pull(id, sources, { signal, onProgress, size });
      await changed(id, deps);
    } catch (error) {
      const fault = toFault(error);
      if (signal.aborted || fault.code === 'DISK_FULL') throw fault;
      return fault.message;
    }
  }
  return null;
}

const variables: Readonly<Record<ApiViewKind, string | null>> = {
  ollama: 'OLLAMA_MODELS',
  huggingface: 'HF_HUB_CACHE',
  folder: null,
};

/** Of all models those that a view can show; of named ones all, or the fault of the first that it cannot. */
async function view(
  kind: ApiViewKind,
  asked: readonly string[] | null,
  deps: LibraryDeps,
): ReturnType<Library['view']> {
  const models: { readonly id: string; readonly path: string }[] = [];
  const skipped: { readonly id: string; readonly why: string }[] = [];
  for (const id of asked ?? deps.models.list().map(({ name }) => name)) {
    try {
      const { path } = await viewOne(kind, id, deps);
      models.push({ id, path });
    } catch (error) {
      const { code, message: why } = toFault(error);
      if (asked || code !== 'NOT_FOUND') throw error;
      skipped.push({ id, why });
    }
  }
  return { kind, root: deps.modelViews.rootOf(kind), variable: variables[kind], models, skipped };
}

/** Makes a model's place in a view, or finds it made. Throws NOT_FOUND for one that is not here or that no view can show. */
export async function viewOne(
  kind: ApiViewKind,
  id: string,
  deps: Pick<LibraryDeps, 'models' | 'directory' | 'modelViews'>,
): Promise<Viewed> {
  mustBeHere(id, deps);
  const model = await viewedModel(id, deps);
  if (!model) throw new Fault('NOT_FOUND', `${id} has no GGUF file that a view could show.`, { param: 'model' });
  return deps.modelViews.ensure(kind, model);
}

/** A model as views see it, read from its file; null where it is none, or no definition has the name any more. */
async function viewedModel(
  id: string,
  { models, directory }: Pick<LibraryDeps, 'models' | 'directory'>,
): Promise<ViewedModel | null> {
  const stored = models.get(id);
  if (!stored) return null;
  const header = await readGguf(stored.path).catch(() => null);
  if (!header) return null;
  const { sha256, bytes, source } = stored;
  return { id, sha256, bytes, header, origin: originOf(id, sha256, source, directory) };
}

/** The source that the file came from, or that has the very file. */
function originOf(id: string, sha256: string, described: string, directory: Directory): ModelSource | null {
  try {
    const { sources } = directory.model(id).definition;
    const fits = (one: ModelSource) => (one.sha256 ?? sha256) === sha256;
    const same = sources.find((one) => fits(one) && describeSource(one) === described);
    return sources.find((one) => one.kind === 'huggingface' && one.sha256 === sha256) ?? same ?? null;
  } catch {
    // Its definition went; its file is a model all the same.
    return null;
  }
}
