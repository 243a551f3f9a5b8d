import { work } from './operation.ts';
import type { Operations } from './operation.ts';

const common = {
  topic: 'jobs',
  scope: 'jobs:run',
  segments: { id: 'The id of a run' },
  example: { segments: ['aider.3f9c02ab'] },
} as const;

/** Tools of the catalogue, as runs with an end. */
export const jobOperations = {
  listJobs: {
    ...{ method: 'GET', path: '/jobs', scope: 'jobs:run', topic: 'jobs', answer: 'ApiJobList' },
    summary: 'List the runs, the newest first',
    detail: 'Of others those are among them that a key with `jobs:manage` asks for. The last 50 that ended are kept.',
  },
  startJob: {
    ...{ method: 'POST', path: '/jobs', scope: 'jobs:run', topic: 'jobs' },
    ...{ body: 'ApiJobAsk', answer: 'ApiJob', status: 202 },
    summary: 'Run a tool',
    detail:
      'It goes on whoever leaves meanwhile; `Location` is where it is told of. A tool runs as the user that the platform runs as, and may do what that user may: a key with `jobs:run` is as good as a shell.',
    faults: ['NOT_FOUND', 'CONFLICT', 'NOT_SUPPORTED', 'DISK_FULL', 'SHUTTING_DOWN'],
    example: {
      body: { tool: 'aider', args: ['--message', 'Add a licence header.', 'main.py'], folder: '/home/ada/shop' },
    },
  },
  readJob: {
    ...common,
    ...{ method: 'GET', path: '/jobs/{id}', answer: 'ApiJob' },
    summary: 'Show a run',
  },
  cancelJob: {
    ...common,
    ...{ method: 'DELETE', path: '/jobs/{id}', answer: 'ApiJob', status: 202 },
    summary: 'Call a run off',
    detail: 'It is asked to end, and killed with all it started after its grace. One that has ended stays as it is.',
  },
  readJobOutput: {
    ...common,
    ...{ method: 'GET', path: '/jobs/{id}/output' },
    summary: 'Follow what a run writes, from its beginning to its end',
    detail: 'Both of its streams, told apart; `done` is the last event. Whoever leaves does not end the run.',
    events: { ...work('ApiProgress', 'ApiJob'), output: 'ApiJobOutput' },
  },
} as const satisfies Operations;
