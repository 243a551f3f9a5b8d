import type { CommandTable } from './command.ts';

/** Every command, in the order of the help. */
export const commands: CommandTable = {
  up: { summary: 'Start the platform', load: async () => (await import('./up.ts')).up },
  down: { summary: 'Stop the platform', load: async () => (await import('./down.ts')).down },
  restart: {
    summary: 'Go on with the program as it is installed now',
    load: async () => (await import('./restart.ts')).restart,
  },
  ps: { summary: 'Show what is awake, what it weighs, and why', load: async () => (await import('./ps.ts')).ps },
  why: { summary: 'Say why something is as it is', load: async () => (await import('./why.ts')).why },
  plan: {
    summary: 'Say whether some fit together, before starting them',
    load: async () => (await import('./plan.ts')).plan,
  },
  savings: {
    summary: 'Show what was spared against always-on',
    load: async () => (await import('./savings.ts')).savings,
  },
  limits: {
    summary: 'Show the limits, and what is used of each',
    load: async () => (await import('./limits.ts')).limits,
  },
  'cache show': { summary: 'Show what is kept of answers', load: async () => (await import('./cache.ts')).cacheShow },
  'cache clear': { summary: 'Forget answers', load: async () => (await import('./cache.ts')).cacheClear },
  map: { summary: 'Show who consumes what of whom', load: async () => (await import('./map.ts')).map },
  'env ls': { summary: 'List the packages services run from', load: async () => (await import('./env.ts')).envLs },
  'env prune': { summary: 'Remove packages nothing runs from', load: async () => (await import('./env.ts')).envPrune },
  upstreams: {
    summary: 'Show where requests go, and what is left alone',
    load: async () => (await import('./upstreams.ts')).upstreams,
  },
  start: { summary: 'Wake a service or load a model', load: async () => (await import('./start.ts')).start },
  stop: { summary: 'Put a service or a model to sleep', load: async () => (await import('./stop.ts')).stop },
  move: { summary: 'Run a service another way, with its data', load: async () => (await import('./move.ts')).move },
  pin: { summary: 'Keep a service or a model awake', load: async () => (await import('./pin.ts')).pin },
  unpin: { summary: 'Let it sleep again', load: async () => (await import('./pin.ts')).unpin },
  logs: { summary: 'Show what a service or a model says', load: async () => (await import('./logs.ts')).logs },
  run: { summary: 'Run a command-line tool of the catalogue', load: async () => (await import('./run.ts')).run },
  'jobs ls': { summary: 'List the runs of tools', load: async () => (await import('./jobs.ts')).jobsLs },
  'jobs output': { summary: 'Show what a run writes', load: async () => (await import('./jobs.ts')).jobsOutput },
  'jobs cancel': { summary: 'Call a run off', load: async () => (await import('./jobs.ts')).jobsCancel },
  chat: { summary: 'Ask a model', load: async () => (await import('./chat.ts')).chat },
  'models ls': { summary: 'List the models', load: async () => (await import('./models.ts')).modelsLs },
  'models pull': { summary: 'Fetch a model', load: async () => (await import('./models-pull.ts')).modelsPull },
  'models rm': { summary: "Remove a model's file", load: async () => (await import('./models.ts')).modelsRm },
  'models show': { summary: 'Show a model', load: async () => (await import('./models.ts')).modelsShow },
  'models versions': {
    summary: 'Show what a model has stood for',
    load: async () => (await import('./models-versions.ts')).modelsVersions,
  },
  'models rollback': {
    summary: 'Go back to an earlier version of a model',
    load: async () => (await import('./models-versions.ts')).modelsRollback,
  },
  'models verify': {
    summary: "Check the models' files against their digests",
    load: async () => (await import('./models-verify.ts')).modelsVerify,
  },
  'models gc': {
    summary: 'Remove the files that nothing needs',
    load: async () => (await import('./models-gc.ts')).modelsGc,
  },
  'models import': {
    summary: 'Take models that are on this machine already',
    load: async () => (await import('./models-import.ts')).modelsImport,
  },
  'models view': {
    summary: "Lay models out as another engine's folder",
    load: async () => (await import('./models-view.ts')).modelsView,
  },
  add: {
    summary: 'Write a definition from a package, an image or a compose file',
    load: async () => (await import('./add.ts')).add,
  },
  'catalog ls': { summary: 'List the definitions', load: async () => (await import('./catalog.ts')).catalogLs },
  'catalog show': { summary: 'Show a definition', load: async () => (await import('./catalog.ts')).catalogShow },
  'catalog validate': {
    summary: 'Check definitions, without a platform',
    load: async () => (await import('./catalog-validate.ts')).catalogValidate,
  },
  'keys ls': { summary: 'List the keys', load: async () => (await import('./keys.ts')).keysLs },
  'keys create': { summary: 'Make a key', load: async () => (await import('./keys.ts')).keysCreate },
  'keys rotate': {
    summary: 'Make a key in the place of another',
    load: async () => (await import('./keys.ts')).keysRotate,
  },
  'keys revoke': { summary: 'End a key', load: async () => (await import('./keys.ts')).keysRevoke },
  audit: { summary: 'Show who changed what', load: async () => (await import('./audit.ts')).audit },
  key: { summary: "Print the owner's key", load: async () => (await import('./key.ts')).key },
  certs: {
    summary: 'Show the authority that issues certificates, and how to trust it',
    load: async () => (await import('./certs.ts')).certs,
  },
  console: {
    summary: 'Print a link that opens the console once',
    load: async () => (await import('./console.ts')).consoleLink,
  },
  events: { summary: 'Follow what happens', load: async () => (await import('./events.ts')).events },
  doctor: { summary: 'Check this machine', load: async () => (await import('./doctor.ts')).doctor },
  version: { summary: 'Print the version', load: async () => (await import('./version.ts')).version },
  help: { summary: 'Show help', load: async () => (await import('./help.ts')).help },
};
