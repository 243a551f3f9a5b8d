import { hash } from 'node:crypto';
import { afterEach, describe, expect, it } from 'vitest';
import { operationIds } from '#contracts/operations';
import { createDescription } from './description.ts';
import { openDoor } from './door.fake.ts';
import type { OpenDoor } from './door.fake.ts';

describe('the description', () => {
  let door: OpenDoor;
  afterEach(() => door.close());
  const open = async () => (door = await openDoor((_, res) => res.end()));

  it.each(['/sutaz/v1/openapi.json', '/docs'])('at %s is read without a key, and not sent twice', async (path) => {
    const { ask } = await open();
    const first = await ask(path, { key: null });
    expect(first.status).toBe(200);
    const again = await ask(path, { key: null, headers: { 'if-none-match': String(first.headers.etag) } });
    expect([again.status, again.text]).toEqual([304, '']);
  });

  it('is read by nobody who does not name the door, and by no page of another origin', async () => {
    const { ask } = await open();
    for (const path of ['/sutaz/v1/openapi.json', '/docs']) {
      expect((await ask(path, { headers: { host: 'evil.example' } })).status).toBe(403);
      const { headers } = await ask(path, { headers: { origin: 'http://evil.example' } });
      expect(headers['access-control-allow-origin']).toBeUndefined();
    }
  });

  it('opens nothing else of the control API', async () => {
    const { ask } = await open();
    expect((await ask('/sutaz/v1/state', { key: null })).status).toBe(401);
    expect((await ask('/sutaz/v1/openapi.json', { key: null, method: 'POST' })).status).toBe(405);
    expect((await ask('/docs', { key: null, method: 'POST' })).status).toBe(405);
  });

  it('is a page that runs nothing, loads nothing, and has every call', async () => {
    const { ask } = await open();
    const { text, headers } = await ask('/docs', { key: null });
    const style = /<style>(.*?)<\/style>/s.exec(text)?.[1] ?? '';
    const policy = String(headers['content-security-policy']);
    expect(policy).toContain(`style-src 'sha256-${hash('sha256', style, 'base64')}'`);
    expect(policy).toMatch(/^default-src 'none'; .*frame-ancestors 'none'$/);
    expect(text).not.toMatch(/<script|<link|<img|<iframe|style=| on\w+=/);
    for (const id of operationIds) expect(text).toContain(`<article id="${id}">`);
    const anchors = [...text.matchAll(/href="#(\w+)"/g)].map(([, id]) => id);
    for (const id of anchors) expect(text).toContain(`id="${id}"`);
  });
});

it('a description that cannot be read is tried again', async () => {
  let works = false;
  const { json } = createDescription(async () => {
    if (!works) throw new Error('gone');
    return Buffer.from('{}');
  });
  await expect(json()).rejects.toThrow('gone');
  works = true;
  expect((await json()).body.toString()).toBe('{}');
});
