// The layers of docs/architecture.md: each folder of src/ with the folders it may import from.
// eslint.config.mjs turns the table into a lint rule, so that a boundary is an error with its reason.
export const layers = {
  kernel: [],
  contracts: ['kernel'],
  resilience: ['kernel'],
  config: ['kernel'],
  security: ['kernel', 'contracts', 'config'],
  observe: ['kernel', 'contracts', 'config'],
  catalog: ['kernel', 'contracts', 'config'],
  scheduler: ['kernel', 'contracts'],
  // The scheduler in virtual time, beside the policies it is compared with.
  simulator: ['kernel', 'contracts', 'scheduler'],
  runtime: ['kernel', 'contracts', 'catalog'],
  models: ['kernel', 'contracts', 'catalog', 'resilience'],
  // Not in the first plan: where a definition, its settings and what was learned become a unit. It knows what the scheduler,
  // the runtime and the model store each need of one, so that none of them needs to know the others.
  units: ['kernel', 'contracts', 'config', 'catalog', 'scheduler', 'runtime', 'models'],
  routing: ['kernel', 'contracts', 'resilience', 'catalog', 'scheduler'],
  edge: [
    'kernel',
    'contracts',
    'resilience',
    'config',
    'security',
    'observe',
    'catalog',
    'scheduler',
    'runtime',
    'models',
    'routing',
    'units',
  ],
  drivers: ['kernel', 'contracts'],
  clients: ['kernel', 'contracts'],
};
