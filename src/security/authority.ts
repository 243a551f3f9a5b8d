import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { isIP } from 'node:net';

/** A certificate, with those it stands on behind it, and its key, both in PEM. */
export interface CertificatePair {
  readonly cert: string;
  readonly key: string;
}

const dayMs = 24 * 3_600_000;
/** Ten years: who trusts it should not have to do so again soon. */
const authorityMs = 3_650 * dayMs;
/** Short, since nobody revokes it: it is made anew by itself. */
const leafMs = 30 * dayMs;
/** Machines whose clock is behind take it all the same. */
const earlierMs = 3_600_000;

const curve = { name: 'ECDSA', namedCurve: 'P-256' };
const signing = { name: 'ECDSA', hash: 'SHA-256' };

/** 22 MB that are only needed when a certificate is made, every few weeks. Its containers ask for the first of the two. */
async function library() {
  await import('reflect-metadata');
  return import('@peculiar/x509');
}

/** A certificate authority of this machine's own, which can issue for names of servers and for nothing else. */
export async function makeAuthority(name: string, now: number): Promise<CertificatePair> {
  const x509 = await library();
  const keys = await webcrypto.subtle.generateKey(curve, true, ['sign', 'verify']);
  const { keyCertSign, cRLSign } = x509.KeyUsageFlags;
  const made = await x509.X509CertificateGenerator.createSelfSigned({
    ...{ name: [{ CN: [name] }, { O: ['SutazAI'] }], keys, signingAlgorithm: signing, ...life(now, authorityMs) },
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(keyCertSign | cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  });
  return { cert: `${made.toString('pem')}\n`, key: await pemOf(keys.privateKey) };
}

/** A certificate for a server that answers to these names and addresses. Throws when the authority's key is none. */
export async function issue(
  authority: CertificatePair,
  names: readonly [string, ...string[]],
  now: number,
): Promise<CertificatePair> {
  const x509 = await library();
  const keys = await webcrypto.subtle.generateKey(curve, true, ['sign', 'verify']);
  const issuer = new x509.X509Certificate(authority.cert);
  const made = await x509.X509CertificateGenerator.create({
    ...{ subject: [{ CN: [names[0]] }], issuer: issuer.subject, ...life(now, leafMs), signingAlgorithm: signing },
    ...{ publicKey: keys.publicKey, signingKey: await signingKey(authority.key) },
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: isIP(value) ? 'ip' : 'dns', value }))),
      await x509.AuthorityKeyIdentifierExtension.create(issuer),
    ],
  });
  return { cert: `${made.toString('pem')}\n${authority.cert}`, key: await pemOf(keys.privateKey) };
}

const life = (now: number, ms: number) => ({ notBefore: new Date(now - earlierMs), notAfter: new Date(now + ms) });

function signingKey(pem: string): Promise<webcrypto.CryptoKey> {
  const der = createPrivateKey(pem).export({ type: 'pkcs8', format: 'der' });
  return webcrypto.subtle.importKey('pkcs8', der, curve, false, ['sign']);
}

async function pemOf(key: webcrypto.CryptoKey): Promise<string> {
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', key));
  return String(createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ type: 'pkcs8', format: 'pem' }));
}

/** Whether a certificate that was issued here should be made anew: a third of its life is left, or its names are others. */
export function isDue(
  pair: CertificatePair,
  authority: CertificatePair,
  names: readonly string[],
  now: number,
): boolean {
  const leaf = new X509Certificate(pair.cert);
  const issuer = new X509Certificate(authority.cert);
  if (leaf.validToDate.getTime() - now < leafMs / 3 || !leaf.verify(issuer.publicKey)) return true;
  return names.some((name) => (isIP(name) ? leaf.checkIP(name) : leaf.checkHost(name)) === undefined);
}
