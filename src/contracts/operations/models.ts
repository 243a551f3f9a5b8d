import { work } from './operation.ts';
import type { Operations } from './operation.ts';

const common = { topic: 'models', example: { segments: ['smollm2:135m'] } } as const;

/** Of models. One is named by its id or an alias, a version of it by `name@digest`. */
export const modelOperations = {
  listModels: {
    ...{ method: 'GET', path: '/models', scope: 'models:use', topic: 'models', answer: 'ApiModelList' },
    summary: 'List the models',
  },
  readModel: {
    ...common,
    ...{ method: 'GET', path: '/models/{name}', scope: 'models:use', answer: 'ApiModelDetails' },
    summary: 'Show one model with its file, its plan and its versions',
  },
  pullModel: {
    ...common,
    ...{
      method: 'POST',
      path: '/models/{name}/pull',
      scope: 'models:manage',
      events: work('ApiPullProgress', 'ApiPulled'),
    },
    summary: 'Fetch the file of a model',
    detail:
      'It ends when its last caller leaves; what was fetched so far is kept, and the next pull goes on from there.',
    query: { update: { type: 'boolean', about: 'Ask the sources although a file is here.' } },
    faults: ['CONFLICT', 'UPSTREAM_FAILED', 'DISK_FULL', 'TIMEOUT'],
  },
  watchPull: {
    ...common,
    ...{
      method: 'GET',
      path: '/models/{name}/pull',
      scope: 'models:use',
      events: work('ApiPullProgress', 'ApiPulled'),
    },
    summary: 'Follow a pull that somebody else began',
    faults: ['CONFLICT'],
  },
  removeModel: {
    ...common,
    ...{ method: 'DELETE', path: '/models/{name}', scope: 'models:manage' },
    summary: 'Remove the file of a model, or one version of it',
    faults: ['CONFLICT'],
  },
  listVersions: {
    ...common,
    ...{ method: 'GET', path: '/models/{name}/versions', scope: 'models:use', answer: 'ApiModelVersions' },
    summary: 'List what the name of a model has stood for',
  },
  rollBackModel: {
    ...{ method: 'POST', path: '/models/{name}/rollback', scope: 'models:manage', topic: 'models' },
    ...{ body: 'ApiRollbackAsk', answer: 'ApiModelDetails' },
    summary: 'Go back to another version of a model',
    detail: 'To the one before, or to the one whose digest begins as the body or the name itself says.',
    faults: ['CONFLICT'],
    example: { segments: ['smollm2:135m'], body: { digest: '3f2a' } },
  },
} as const satisfies Operations;

/** Of the store that all models' files are in. */
export const storeOperations = {
  verifyStore: {
    ...{ method: 'POST', path: '/store/verify', scope: 'models:manage', topic: 'store', body: 'ApiVerifyAsk' },
    summary: 'Compare files with their digests',
    events: work('ApiPullProgress', 'ApiVerification'),
    faults: ['CONFLICT'],
    example: { body: { models: ['smollm2:135m'], repair: true } },
  },
  collectStore: {
    ...{ method: 'POST', path: '/store/collect', scope: 'models:manage', topic: 'store' },
    ...{ body: 'ApiCollectAsk', answer: 'ApiCollected' },
    summary: 'Remove what no model stands for any more',
    faults: ['CONFLICT'],
    example: { body: { dryRun: true } },
  },
  importModels: {
    ...{ method: 'POST', path: '/store/import', scope: 'models:manage', topic: 'store', body: 'ApiImportAsk' },
    summary: 'Take up model files that are on this machine already',
    events: work('ApiPullProgress', 'ApiImport'),
    faults: ['CONFLICT', 'DISK_FULL'],
    example: { body: { from: 'ollama' } },
  },
  makeView: {
    ...{ method: 'POST', path: '/store/views/{kind}', scope: 'models:manage', topic: 'store' },
    ...{ body: 'ApiViewAsk', answer: 'ApiView' },
    summary: 'Lay out models the way another program expects them',
    segments: { kind: '`ollama`, `huggingface` or `folder`.' },
    faults: ['CONFLICT'],
    example: { segments: ['huggingface'], body: { models: ['all-minilm'] } },
  },
} as const satisfies Operations;
