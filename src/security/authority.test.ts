import { X509Certificate } from 'node:crypto';
import { expect, it } from 'vitest';
import { isDue, issue, makeAuthority } from './authority.ts';

const now = Date.parse('2026-11-24T12:00:00Z');
const day = 24 * 3_600_000;
const names = ['localhost', 'x.localhost', '127.0.0.1', '::1'] as const;

it('issues for names and addresses, for a month, and an authority issues nothing else', async () => {
  const authority = await makeAuthority('A test', now);
  const pair = await issue(authority, names, now);
  const [root, leaf] = [new X509Certificate(authority.cert), new X509Certificate(pair.cert)];
  expect([root.ca, leaf.ca]).toEqual([true, false]);
  expect(root.verify(root.publicKey) && leaf.verify(root.publicKey) && leaf.checkIssued(root)).toBe(true);
  expect(leaf.subjectAltName).toBe('DNS:localhost, DNS:x.localhost, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1');
  expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
  expect(leaf.validToDate.getTime() - now).toBe(30 * day);
  expect(pair.cert.match(/BEGIN CERTIFICATE/g)).toHaveLength(2);
});

it('makes it anew when little of its life is left, for other names, and for another authority', async () => {
  const [authority, other] = [await makeAuthority('A', now), await makeAuthority('B', now)];
  const pair = await issue(authority, names, now);
  expect(isDue(pair, authority, names, now)).toBe(false);
  expect(isDue(pair, authority, names, now + 19 * day)).toBe(false);
  expect(isDue(pair, authority, names, now + 21 * day)).toBe(true);
  expect(isDue(pair, authority, [...names, 'ai.example.org'], now)).toBe(true);
  expect(isDue(pair, authority, [...names, '10.0.0.1'], now)).toBe(true);
  expect(isDue(pair, other, names, now)).toBe(true);
});
