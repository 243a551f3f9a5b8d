import type { Operations } from './operation.ts';

/** Of the platform as a whole: what it does and what it knows. */
export const platformOperations = {
  readState: {
    ...{ method: 'GET', path: '/state', scope: 'state:read', topic: 'state', answer: 'ApiState' },
    summary: 'Show the platform, its ledger and every unit',
  },
  watchEvents: {
    ...{ method: 'GET', path: '/events', scope: 'state:read', topic: 'state' },
    summary: 'Follow what changes',
    detail:
      'The whole state first, then each unit that differs from what was told last. A client that falls behind misses single ' +
      'changes and gets the whole state again when it has caught up. Comments keep the line open.',
    events: { state: 'ApiState', unit: 'ApiUnit', ledger: 'ApiLedger', log: 'ApiEvent' },
    faults: ['SHUTTING_DOWN'],
  },
  readLedger: {
    ...{ method: 'GET', path: '/ledger', scope: 'state:read', topic: 'state', answer: 'ApiAccount' },
    summary: 'Show the account of memory with what decisions rest on',
  },
  readSavings: {
    ...{ method: 'GET', path: '/savings', scope: 'state:read', topic: 'state', answer: 'ApiSavings' },
    summary: 'Show what was spared against keeping everything awake',
  },
  readLimits: {
    ...{ method: 'GET', path: '/limits', scope: 'state:read', topic: 'state', answer: 'ApiLimits' },
    summary: 'Show the limits, and what is used of each',
    detail: 'An administrator sees all accounts, anyone else their own.',
  },
  readCache: {
    ...{ method: 'GET', path: '/cache', scope: 'state:read', topic: 'state', answer: 'ApiCache' },
    summary: 'Show what is kept of answers, and what came of it',
  },
  clearCache: {
    ...{ method: 'DELETE', path: '/cache', scope: 'models:manage', topic: 'state', answer: 'ApiCleared' },
    summary: 'Forget answers',
    detail:
      'All of them, or those that all of what is given fits: of models, unless a route or a tag is named; of services, unless a ' +
      'model is. What is under way goes on, and is not kept.',
    query: {
      model: { type: 'string', about: 'Only those of this model, by its id or an alias.' },
      principal: { type: 'string', about: 'Only those to this caller.' },
      route: { type: 'string', about: 'Only those of services, kept by this route.' },
      tag: { type: 'string', about: 'Only those of services with this word in their Cache-Tag.' },
    },
    faults: ['NOT_FOUND'],
    example: { query: 'model=smollm2:135m' },
  },
  readMap: {
    ...{ method: 'GET', path: '/map', scope: 'state:read', topic: 'state', answer: 'ApiMap' },
    summary: 'Show who consumes what of whom, and what sharing spares',
    detail:
      'As it is bound, and as it was asked with the keys of instances since the platform started. Answers of the cache are not ' +
      'counted: they ask nobody.',
  },
  listEnvironments: {
    ...{ method: 'GET', path: '/environments', scope: 'state:read', topic: 'state', answer: 'ApiEnvironments' },
    summary: 'List the packages that services run from: what they weigh, what they share, who uses them',
    detail:
      'Each is weighed once after it was built, and again after a prune: the first time a large home takes some seconds.',
  },
  pruneEnvironments: {
    ...{ method: 'POST', path: '/environments/prune', scope: 'services:manage', topic: 'state' },
    ...{ body: 'ApiPruneAsk', answer: 'ApiPruned' },
    summary: 'Remove the packages that nothing runs from',
    detail:
      'Stays: what a definition runs from, what an instance runs from, and what was handed out since the platform started. ' +
      'From the caches goes what then no environment holds.',
    example: { body: { dryRun: true } },
  },
  readUpstreams: {
    ...{ method: 'GET', path: '/upstreams', scope: 'state:read', topic: 'state', answer: 'ApiUpstreams' },
    summary: 'Show where requests go, what is left alone and why',
    detail: 'What runs elsewhere is always there, an instance of this machine from its first request on.',
  },
  readPlan: {
    ...{ method: 'GET', path: '/plan', scope: 'state:read', topic: 'state', answer: 'ApiPlan' },
    summary: 'Say whether units can be awake together',
    detail: 'Nothing is started for it.',
    query: {
      unit: { type: 'string', many: true, required: true, about: 'What is to be awake.' },
      limit: { type: 'integer', about: 'Bytes of another limit than the present one.' },
    },
    faults: ['NOT_FOUND', 'CONFLICT'],
    example: { query: 'unit=chroma&unit=smollm2:135m' },
  },
  readCatalog: {
    ...{ method: 'GET', path: '/catalog', scope: 'state:read', topic: 'catalogue', answer: 'ApiCatalog' },
    summary: 'List the definitions, those that are disabled with their reasons',
  },
  readDefinition: {
    ...{ method: 'GET', path: '/catalog/{name}', scope: 'state:read', topic: 'catalogue', answer: 'ApiDefinition' },
    summary: 'Show one definition as it was written and as it was read',
    example: { segments: ['chroma'] },
  },
  readDescription: {
    ...{ method: 'GET', path: '/openapi.json', scope: null, topic: 'platform', answer: 'JsonObject' },
    summary: 'Describe this API in OpenAPI 3.1',
  },
  createConsoleLink: {
    ...{ method: 'POST', path: '/console-links', scope: 'console', topic: 'platform' },
    ...{ answer: 'ApiConsoleLink', status: 201 },
    summary: 'Make a link that opens the console once',
  },
  shutDown: {
    ...{
      method: 'POST',
      path: '/shutdown',
      scope: 'platform:manage',
      topic: 'platform',
      answer: 'ApiStopping',
      status: 202,
    },
    summary: 'Stop the platform',
    detail: 'What is under way may finish within 30 seconds; then every instance is stopped.',
  },
  restart: {
    ...{ method: 'POST', path: '/restart', scope: 'platform:manage', topic: 'platform' },
    answer: 'ApiRestarted',
    summary: 'Replace the platform by the program as it is installed now, while it runs',
    detail:
      'The next process goes on with the same instances and the same listener: no connection is refused, and what is under ' +
      'way ends in the old process. Answers when the next one listens. Nothing is changed where it cannot start, or where ' +
      'something that must not be interrupted (a start, a download) does not end within 30 seconds.',
    faults: ['CONFLICT', 'START_FAILED', 'NOT_SUPPORTED', 'TIMEOUT'],
  },
} as const satisfies Operations;
