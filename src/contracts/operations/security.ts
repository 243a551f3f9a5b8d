import type { Operations } from './operation.ts';

const common = {
  topic: 'security',
  segments: { id: 'The id of a key' },
  example: { segments: ['key-3f2a9c01b7de'] },
} as const;

/** Who may do what, and who did. */
export const securityOperations = {
  listKeys: {
    ...{ method: 'GET', path: '/keys', scope: 'keys', topic: 'security', answer: 'ApiKeyList' },
    summary: 'List the keys',
  },
  createKey: {
    ...{ method: 'POST', path: '/keys', scope: 'keys', topic: 'security' },
    ...{ body: 'ApiKeyAsk', answer: 'ApiMadeKey', status: 201 },
    summary: 'Make a key',
    detail: 'It may no more than the key it is asked for with. It is shown in this answer and never again.',
    example: { body: { name: 'notebook', roles: ['user'], expiresIn: '90d' } },
  },
  rotateKey: {
    ...common,
    ...{ method: 'POST', path: '/keys/{id}/rotate', scope: 'keys' },
    ...{ body: 'ApiRotateAsk', answer: 'ApiMadeKey', status: 201 },
    summary: 'Make a key in the place of another',
    example: { segments: ['key-3f2a9c01b7de'], body: { overlap: '7d' } },
    detail: 'Both are good until the overlap is over. When the old key would have expired, the new one does.',
    faults: ['CONFLICT'],
  },
  revokeKey: {
    ...common,
    ...{ method: 'DELETE', path: '/keys/{id}', scope: 'keys' },
    summary: 'End a key at once, and the sessions that were opened with it',
    faults: ['CONFLICT'],
  },
  readAudit: {
    ...{ method: 'GET', path: '/audit', scope: 'audit:read', topic: 'security', answer: 'ApiAuditList' },
    summary: 'Show who changed what, the newest first',
    query: {
      limit: { type: 'integer', about: 'Entries at most: 100 when left out, 1000 at most.' },
      before: { type: 'string', about: 'Only what was before this time (ISO 8601): the last one of the page before.' },
      what: { type: 'string', about: 'Only what was done so: `createKey`.' },
      principal: { type: 'string', about: 'Only what they did.' },
    },
    example: { query: 'what=createKey' },
  },
} as const satisfies Operations;
