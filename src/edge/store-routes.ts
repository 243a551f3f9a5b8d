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
import { Fault } from '#kernel/faults';
import { didYouMean } from '#kernel/nearest';
import { route, streamWork } from './control-route.ts';
import type { ControlDeps, Route } from './control-route.ts';
import { parseObject, readBody, sendJson } from './exchange.ts';
import type { Exchange } from './exchange.ts';

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

export const storeRoutes: readonly Route[] = [
  route('GET', '/models/:name/versions', 'use', async (exchange, { control }, name) =>
    sendJson(exchange, 200, await control.library.versions(name)),
  ),
  route('POST', '/models/:name/rollback', 'admin', async (exchange, { control }, name) => {
    const { digest } = await bodyOf(exchange, { digest: text });
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
    const { models = [] } = await bodyOf(exchange, { models: texts });
    sendJson(exchange, 200, await control.library.view(kind, models));
  }),
];

/** Follows a pull that somebody else began, and keeps it from nothing: it ends when they leave. */
async function watchPull(exchange: Exchange, { control, clock }: ControlDeps, name: string): Promise<void> {
  const running = control.library.pulling(name);
  if (!running) throw new Fault('CONFLICT', `${name} is not being pulled.`);
  await streamWork(exchange, clock, running.progress, async () => {
    await running.ended;
    return { model: await control.model(name) };
  });
}

async function verifyStore(exchange: Exchange, { control, clock }: ControlDeps): Promise<void> {
  const { models = [], repair = false } = await bodyOf(exchange, { models: texts, repair: flag });
  let latest: Progress | null = null;
  await streamWork(
    exchange,
    clock,
    () => latest,
    () => control.library.verify(models, repair, exchange.signal, (progress) => (latest = progress)),
  );
}

async function importModels(exchange: Exchange, { control, clock }: ControlDeps): Promise<void> {
  const from = (value: unknown) => (value === 'ollama' || value === 'huggingface' ? value : undefined);
  const ask = await bodyOf(exchange, { path: text, from, name: text, copy: flag });
  if ((ask.path === undefined) === (ask.from === undefined)) {
    throw new Fault('BAD_REQUEST', 'Say what to import: a path, or from: "ollama" or "huggingface".', {
      param: 'path',
    });
  }
  let latest: Progress | null = null;
  await streamWork(
    exchange,
    clock,
    () => latest,
    () => control.library.importFrom(ask as ApiImportAsk, exchange.signal, (progress) => (latest = progress)),
  );
}

const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' && value.length <= 4096 ? value : undefined;
const flag = (value: unknown): boolean | undefined => (typeof value === 'boolean' ? value : undefined);
const texts = (value: unknown): readonly string[] | undefined =>
  Array.isArray(value) && value.every((item) => text(item) !== undefined) ? (value as string[]) : undefined;

type Readers = Readonly<Record<string, (value: unknown) => unknown>>;
type Body<R extends Readers> = { readonly [K in keyof R]?: Exclude<ReturnType<R[K]>, undefined> };

/** Longer ones are not asked for anything here. */
const longestBody = 64 * 1024;

/** A body whose keys are known and of their kinds; none at all is an empty one. Throws BAD_REQUEST with the key. */
async function bodyOf<const R extends Readers>(exchange: Exchange, readers: R): Promise<Body<R>> {
  const bytes = await readBody(exchange, longestBody);
  const given = bytes.length === 0 ? {} : parseObject(bytes);
  const read: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(given)) {
    const reader = Object.hasOwn(readers, key) ? readers[key] : undefined;
    if (!reader)
      throw new Fault('BAD_REQUEST', `${key} is not known here. Known: ${Object.keys(readers).join(', ')}.`, {
        param: key,
      });
    read[key] = reader(value);
    if (read[key] === undefined) throw new Fault('BAD_REQUEST', `${key} is not of its kind.`, { param: key });
  }
  return read as Body<R>;
}
