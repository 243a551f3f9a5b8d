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
import { route, streamWork } from './control-route.ts';
import type { ControlDeps, Route } from './control-route.ts';
import { parseObject, readBody, sendJson } from './exchange.ts';
import type { Exchange } from './exchange.ts';
import { bad, flag, list, oneOf, read, text } from './fields.ts';
import type { Field, Fields, Read } from './fields.ts';

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

export const storeRoutes: readonly Route[] = [
  route('GET', '/models/:name/versions', 'use', async (exchange, { control }, name) =>
    sendJson(exchange, 200, await control.library.versions(name)),
  ),
  route('POST', '/models/:name/rollback', 'admin', async (exchange, { control }, name) => {
    const { digest } = await bodyOf(exchange, { digest: word });
    sendJson(exchange, 200, await control.library.rollback(name, digest ?? null));
  }),
  route('GET', '/models/:name/pull', 'use', watchPull),
  route('POST', '/store/verify', 'admin', verifyStore),
  route('POST', '/store/collect', 'admin', async (exchange, { control }) => {
    const { dryRun = false, downloads = false } = await bodyOf(exchange, { dryRun: flag, downloads: flag });
    sendJson(exchange, 200, await control.library.collect({ dryRun, downloads }));
  }),
  route('POST', '/store/import', 'admin', importModels),
  route('POST', '/store/views/:name', 'admin', async (exchange, { control }, name) => {
    const kind = viewKinds.find((known) => known === name);
    if (!kind) {
      const near = didYouMean(name, viewKinds) || ` Known: ${viewKinds.join(', ')}.`;
      throw new Fault('NOT_FOUND', `No view is called ${name}.${near}`);
    }
    const { models = [] } = await bodyOf(exchange, { models: list(word) });
    sendJson(exchange, 200, await control.library.view(kind, models));
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
  const { models = [], repair = false } = await bodyOf(exchange, { models: list(word), repair: flag });
  let latest: Progress | null = null;
  await streamWork(
    exchange,
    clock,
    () => latest,
    () => control.library.verify(models, repair, exchange.signal, (progress) => (latest = progress)),
  );
}

async function importModels(exchange: Exchange, { control, clock }: ControlDeps): Promise<void> {
  const from = oneOf('ollama', 'huggingface');
  const ask = await bodyOf(exchange, { path: word, from, name: word, copy: flag });
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

/** Longer ones are not asked for anything here. */
const longestBody = 64 * 1024;

/** The fields of a body; none at all is an empty one. Throws BAD_REQUEST with the key. */
async function bodyOf<F extends Fields>(exchange: Exchange, fields: F): Promise<Read<F>> {
  const bytes = await readBody(exchange, longestBody);
  return read(bytes.length === 0 ? {} : parseObject(bytes), fields);
}
