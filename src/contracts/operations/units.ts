import { work } from './operation.ts';
import type { Operations } from './operation.ts';

const common = { topic: 'units', example: { segments: ['chroma'] } } as const;

/** Of services and models alike. A unit is named by its id, its bare name or a model's alias. */
export const unitOperations = {
  readUnit: {
    ...common,
    ...{ method: 'GET', path: '/units/{name}', scope: 'state:read', answer: 'ApiUnit' },
    summary: 'Show one unit',
  },
  explainUnit: {
    ...common,
    ...{ method: 'GET', path: '/units/{name}/why', scope: 'state:read', answer: 'ApiWhy' },
    summary: 'Say why a unit is in its state, and what would happen if somebody asked for it now',
  },
  startUnit: {
    ...common,
    ...{ method: 'POST', path: '/units/{name}/start', scope: 'units:manage', answer: 'ApiUnit', status: 202 },
    summary: 'Wake a unit',
    detail:
      'It goes on until the unit is ready or has failed, whoever leaves meanwhile; stopUnit calls it off, which is CONFLICT to who waits for it.',
    query: { wait: { type: 'boolean', about: 'Answer with a stream that tells of the wake and ends with it.' } },
    events: work('ApiProgress', 'ApiUnit'),
    streamedBy: 'wait',
    faults: ['CONFLICT', 'START_FAILED', 'NO_MEMORY', 'SHUTTING_DOWN'],
  },
  stopUnit: {
    ...common,
    ...{ method: 'POST', path: '/units/{name}/stop', scope: 'units:manage', answer: 'ApiUnit' },
    summary: 'Put a unit to sleep',
    detail:
      'A busy one is refused with CONFLICT, and so is one that is pinned or core. A request that waits for it starts it anew.',
    query: { force: { type: 'boolean', about: 'Stop it although it is busy: what it works on is lost.' } },
    faults: ['CONFLICT'],
  },
  moveUnit: {
    ...common,
    ...{ method: 'POST', path: '/units/{name}/move', scope: 'units:manage', answer: 'ApiUnit', status: 202 },
    summary: 'Run a service by another of its ways, with its data',
    detail:
      'What the other way needs is fetched first; then it is stopped and started anew. When it does not become well it runs as before. It goes on to its end, whoever leaves meanwhile. One that is busy is refused with CONFLICT, and so is one whose way the configuration says.',
    query: {
      to: { type: 'string', required: true, about: '`process` or `docker`.' },
      force: { type: 'boolean', about: 'Move it although it is busy: what it works on is lost.' },
      wait: { type: 'boolean', about: 'Answer with a stream that tells of the move and ends with it.' },
    },
    events: work('ApiProgress', 'ApiUnit'),
    streamedBy: 'wait',
    faults: ['CONFLICT', 'START_FAILED', 'NO_MEMORY', 'SHUTTING_DOWN'],
    example: { segments: ['chroma'], query: 'to=docker' },
  },
  pinUnit: {
    ...common,
    ...{ method: 'POST', path: '/units/{name}/pin', scope: 'units:manage', answer: 'ApiUnit' },
    summary: 'Keep a unit awake until it is unpinned',
    faults: ['CONFLICT'],
  },
  unpinUnit: {
    ...common,
    ...{ method: 'POST', path: '/units/{name}/unpin', scope: 'units:manage', answer: 'ApiUnit' },
    summary: 'Let a pinned unit sleep again',
    faults: ['CONFLICT'],
  },
  readLogs: {
    ...common,
    ...{ method: 'GET', path: '/units/{name}/logs', scope: 'units:manage', text: true },
    summary: 'Read the last lines that a unit wrote',
    query: {
      lines: { type: 'integer', about: 'How many, up to 10,000; 100 unless this says otherwise.' },
      follow: { type: 'boolean', about: 'Go on with what it writes, until the caller leaves.' },
    },
  },
} as const satisfies Operations;
