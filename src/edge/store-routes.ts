import type {
  ApiCollected,
  ApiImport,
  ApiImportAsk,
  ApiModelVersions,
  ApiVerification,
  ApiView,
  ApiViewKind,
} from '#contracts/store-api';
import { viewKinds } from '#contracts/store-api';
import type { ApiModelDetails } from '#contracts/api';
import type { OnProgress, Progress } from '#contracts/models';
import { abortable } from '#kernel/abort';
import { Fault } from '#kernel/faults';
import { didYouMean } from '#kernel/nearest';
import { bodyOf, route, streamWork } from './control-route.ts';
import type { ControlDeps, FieldsOf, Route } from './control-route.ts';
import type { Exchange } from './exchange.ts';
import { bad, flag, list, oneOf, text } from './fields.ts';
import type { Field } from './fields.ts';

/** What the control API does to the model store. Every method that takes a name throws NOT_FOUND with the nearest ones. */
export interface Library {
  versions(name: string): Promise<ApiModelVersions>;
  /** To the version before, or to the one whose digest begins so; or to the one that the name itself says. */
  rollback(name: string, digest: string | null): Promise<ApiModelDetails>;
  /** The pull that runs now; null when none does. */
  pulling(name: string): { readonly progress: () => Progress | null; readonly ended: Promise<void> } | null;
  /** Of all models when none are named. */
  verify(
    names: readonly string[],
    repair: boolean,
    signal: AbortSignal,
    onProgress: OnProgress,
  ): Promise<ApiVerification>;
  collect(options: { readonly dryRun: boolean; readonly downloads: boolean }): Promise<ApiCollected>;
  importFrom(ask: ApiImportAsk, signal: AbortSignal, onProgress: OnProgress): Promise<ApiImport>;
  /** Of all models whose file is here when none are named. */
  view(kind: ApiViewKind, names: readonly string[]): Promise<ApiView>;
}

/** A name, a digest or a path. */
const word: Field<string> = (value, param) => {
  const said = text(value, param);
  if (said === '' || said.length > 4096) throw bad(param, `${param} must have 1 to 4096 characters.`);
  return said;
};

const rollback: FieldsOf<'rollBackModel'> = { digest: word };
const verifying: FieldsOf<'verifyStore'> = { models: list(word), repair: flag };
const collecting: FieldsOf<'collectStore'> = { dryRun: flag, downloads: flag };
const importing: FieldsOf<'importModels'> = {
  path: word,
  from: oneOf('ollama', 'huggingface'),
  name: word,
  copy: flag,
};
const view: FieldsOf<'makeView'> = { models: list(word) };

export const storeRoutes: readonly Route[] = [
  route('listVersions', (_, { control }, name) => control.library.versions(name)),
  route('rollBackModel', async (exchange, { control }, name) => {
    const { digest } = await bodyOf(exchange, rollback);
    return control.library.rollback(name, digest ?? null);
  }),
  route('watchPull', watchPull),
  route('verifyStore', verifyStore),
  route('collectStore', async (exchange, { control }) => {
    const { dryRun = false, downloads = false } = await bodyOf(exchange, collecting);
    return control.library.collect({ dryRun, downloads });
  }),
  route('importModels', importModels),
  route('makeView', async (exchange, { control }, name) => {
    const kind = viewKinds.find((known) => known === name);
    if (!kind) {
      const near = didYouMean(name, viewKinds) || ` Known: ${viewKinds.join(', ')}.`;
      throw new Fault('NOT_FOUND', `No view is called ${name}.${near}`);
    }
    const { models = [] } = await bodyOf(exchange, view);
    return control.library.view(kind, models);
  }),
];

/** Follows a pull that somebody else began, and keeps it from nothing: it ends when they leave. */
async function watchPull(exchange: Exchange, { control, clock }: ControlDeps, name: string): Promise<void> {
  const running = control.library.pulling(name);
  if (!running) throw new Fault('CONFLICT', `${name} is not being pulled.`);
  await streamWork(exchange, clock, running.progress, async () => {
    await abortable(running.ended, exchange.signal);
    return { model: await control.model(name) };
  });
}

async function verifyStore(exchange: Exchange, { control, clock }: ControlDeps): Promise<void> {
  const { models = [], repair = false } = await bodyOf(exchange, verifying);
  let latest: Progress | null = null;
  await streamWork(
    exchange,
    clock,
    () => latest,
    () => control.library.verify(models, repair, exchange.signal, (progress) => (latest = progress)),
  );
}

async function importModels(exchange: Exchange, { control, clock }: ControlDeps): Promise<void> {
  const ask = await bodyOf(exchange, importing);
  if ((ask.path === undefined) === (ask.from === undefined)) {
    throw bad('path', 'Say what to import: a path, or from: "ollama" or "huggingface".');
  }
  let latest: Progress | null = null;
  await streamWork(
    exchange,
    clock,
    () => latest,
    () => control.library.importFrom(ask as ApiImportAsk, exchange.signal, (progress) => (latest = progress)),
  );
}
