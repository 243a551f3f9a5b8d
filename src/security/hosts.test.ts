import { describe, expect, it } from 'vitest';
import { isSameOrigin, nameHost } from './hosts.ts';

describe('hosts', () => {
  it.each([
    ['localhost:8080', { kind: 'door' }],
    ['127.0.0.1', { kind: 'door' }],
    ['[::1]:8080', { kind: 'door' }],
    ['LOCALHOST', { kind: 'door' }],
    ['host.docker.internal:8080', { kind: 'door' }],
    ['box.lan:80', { kind: 'door' }],
    ['nas.lan', { kind: 'door' }],
    ['node-red.localhost:8080', { kind: 'service', id: 'node-red' }],
    ['a.b.localhost', { kind: 'unknown' }],
    ['localhost.evil.example', { kind: 'unknown' }],
    ['evil.example', { kind: 'unknown' }],
    ['', { kind: 'unknown' }],
    [undefined, { kind: 'unknown' }],
  ])('%s', (header, named) => expect(nameHost(header, ['box.lan', 'NAS.lan'])).toEqual(named));
});

describe('a request that a cookie vouches for', () => {
  const facts = {
    method: 'GET',
    host: 'localhost:8080',
    origin: undefined,
    fetchSite: undefined,
    fetchMode: undefined,
    upgrade: false,
  };
  it.each([
    ['reads from the same page', { fetchSite: 'same-origin' }, true],
    ['is typed into the address bar', { fetchSite: 'none' }, true],
    ['follows a link from elsewhere', { fetchSite: 'cross-site', fetchMode: 'navigate' }, true],
    ['is an image of another site', { fetchSite: 'cross-site', fetchMode: 'no-cors' }, false],
    ['is an image of another port', { fetchSite: 'same-site', fetchMode: 'no-cors' }, false],
    ['comes from a program that says nothing', {}, true],
    ['posts from the same page', { method: 'POST', origin: 'http://localhost:8080' }, true],
    ['posts from another site', { method: 'POST', origin: 'https://evil.example' }, false],
    ['posts from another port', { method: 'POST', origin: 'http://localhost:9090' }, false],
    ['posts from a sandboxed page', { method: 'POST', origin: 'null' }, false],
    ['posts and does not say from where', { method: 'POST' }, false],
    ['opens a WebSocket from another site', { upgrade: true, origin: 'https://evil.example' }, false],
    ['opens a WebSocket and does not say from where', { upgrade: true, fetchSite: 'none' }, false],
  ])('%s', (_, more, allowed) => expect(isSameOrigin({ ...facts, ...more })).toBe(allowed));
});
