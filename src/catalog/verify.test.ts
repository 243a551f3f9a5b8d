import { describe, expect, it } from 'vitest';
import { verify, whyNotVerified } from './verify.ts';

const chat = { path: '/v1/chat/completions', body: { model: 'smollm2:135m' } };

describe('how a service is verified', () => {
  it.each([
    ['server', { path: '/version', status: 201, json: 'data[0].id' }],
    ['server', { command: ['psql', '-p', '{port}'], text: '1' }],
    ['engine', chat],
    ['job', { args: ['--version'] }],
    ['job', { args: [], files: { prompt: 'Write it.' } }],
  ] as const)('a %s by %j', (kind, how) => expect(whyNotVerified(kind, verify.parse(how))).toBeNull());

  it.each([
    ['server', { args: ['--version'] }, 'only a job is run with args'],
    ['engine', { args: ['--version'] }, 'only a job is run with args'],
    ['engine', { path: '/health' }, 'a body that names a model'],
    ['engine', { ...chat, body: { model: 1 } }, 'a body that names a model'],
    ['engine', { command: ['true'] }, 'a body that names a model'],
    ['job', { path: '/health' }, 'a job is verified by a run'],
  ] as const)('not a %s by %j', (kind, how, why) => expect(whyNotVerified(kind, verify.parse(how))).toContain(why));

  it.each([
    {},
    { text: 'x' },
    { path: '/x', args: ['y'] },
    { path: '/x', status: 99 },
    { command: [] },
    { args: [], files: { '../x': '' } },
  ])('never by %j', (how) => expect(verify.safeParse(how).success).toBe(false));
});
