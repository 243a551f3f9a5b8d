import { createPrivateKey, X509Certificate } from 'node:crypto';
import { chmod, mkdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';
import type { Config } from '#config/static';
import { watchFolders } from '#config/watch';
import type { Clock } from '#kernel/clock';
import { Fault } from '#kernel/faults';
import type { Logger } from '#kernel/logger';
import { repeat } from '#kernel/repeat';
import { readMaybe, writeWhole } from '#runtime/home';
import { isDue, issue, makeAuthority } from '#security/authority';
import type { CertificatePair } from '#security/authority';

export interface CertificateDeps {
  readonly listen: Config['listen'];
  /** The home folder. */
  readonly home: string;
  /** The services, each of which has a host name of its own, and what tells that they changed. */
  readonly services: {
    ids(): readonly string[];
    onChange(listener: () => void): () => void;
  };
  readonly clock: Clock;
  readonly log: Logger;
  /** Takes a pair into use. */
  readonly use: (pair: CertificatePair) => void;
}

/**
 * Sees to it that the door has the certificate it should: the files that `listen.tls` names, read again when they change, or
 * one of the home's own authority, made anew in time. Throws BAD_REQUEST when there is none to begin with; later a bad one is
 * told, and the one before goes on.
 */
export async function followCertificates(deps: CertificateDeps): Promise<() => void> {
  const { tls } = deps.listen;
  if (tls === undefined) return () => undefined;
  return tls === 'auto' ? followOwn(deps) : followFiles(tls, deps);
}

async function followFiles(
  files: { readonly cert: string; readonly key: string },
  { clock, log, use }: CertificateDeps,
): Promise<() => void> {
  let used = await readPair(files, clock.wall());
  use(used);
  const names = [basename(files.cert), basename(files.key)];
  const watched = watchFolders({
    folders: [...new Set([dirname(files.cert), dirname(files.key)])],
    // Tools that put a whole folder in place by a link change another name than these.
    concerns: (name) => name === null || names.includes(name) || name.startsWith('..'),
    async read() {
      const pair = await readPair(files, clock.wall());
      if (pair.cert === used.cert && pair.key === used.key) return false;
      use((used = pair));
      log.info('the certificate changed', { file: files.cert, ...factsOf(pair) });
      return true;
    },
    ...{ clock, log, what: 'the certificate of listen.tls' },
  });
  return () => watched.close();
}

const factsOf = ({ cert }: CertificatePair) => {
  const { subjectAltName, validTo } = new X509Certificate(cert);
  return { names: subjectAltName, validTo };
};

/** Throws BAD_REQUEST with the place of what is wrong. */
export async function readPair(
  files: { readonly cert: string; readonly key: string },
  now: number,
): Promise<CertificatePair> {
  const [cert, key] = [await readPem(files.cert, 'listen.tls.cert'), await readPem(files.key, 'listen.tls.key')];
  const certificate = tried(
    () => new X509Certificate(cert),
    `${files.cert} holds no certificate in PEM (listen.tls.cert).`,
  );
  const secret = tried(
    () => createPrivateKey(key),
    `${files.key} holds no private key in PEM, or one with a passphrase (listen.tls.key).`,
  );
  if (!certificate.checkPrivateKey(secret)) {
    throw new Fault(
      'BAD_REQUEST',
      `The key ${files.key} does not belong to the certificate ${files.cert} (listen.tls).`,
    );
  }
  if (certificate.validToDate.getTime() < now) {
    throw new Fault(
      'BAD_REQUEST',
      `The certificate ${files.cert} expired on ${certificate.validTo} (listen.tls.cert).`,
    );
  }
  return { cert, key };
}

async function readPem(file: string, key: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new Fault('BAD_REQUEST', `${file} cannot be read (${key}): ${String(error)}`, { cause: error });
  }
}

function tried<T>(make: () => T, message: string): T {
  try {
    return make();
  } catch (error) {
    throw new Fault('BAD_REQUEST', message, { cause: error });
  }
}

/** Milliseconds between looks whether the certificate of our own is still good for long. */
const renewMs = 6 * 3_600_000;

async function followOwn(deps: CertificateDeps): Promise<() => void> {
  const { home, clock, log, use, services } = deps;
  const folder = join(home, 'tls');
  let used: CertificatePair | null = null;
  const renew = async (): Promise<void> => {
    const pair = await ownPair(folder, ownNames(deps), clock.wall());
    if (pair.cert === used?.cert) return;
    use((used = pair));
    log.info('the door has a certificate', { file: join(folder, 'door.pem'), ...factsOf(pair) });
  };
  let renewing = Promise.resolve();
  // One at a time: two would write the same files.
  const inTurn = (): Promise<void> => (renewing = renewing.catch(() => undefined).then(renew));
  const tell = (error: unknown) => log.warn('no certificate could be made', { error: String(error) });
  await inTurn();
  const stops = [repeat(clock, renewMs, inTurn, tell), services.onChange(() => void inTurn().catch(tell))];
  return () => {
    for (const stop of stops) stop();
  };
}

/** What the door is called. Each service is named by itself, since no client takes a wildcard right below `localhost`. */
function ownNames({ listen: { host, hosts }, services }: CertificateDeps): readonly [string, ...string[]] {
  const ofServices = services.ids().map((id) => `${id}.localhost`);
  const ownHost = isAny(host) ? [] : [host];
  return ['localhost', ...new Set(['127.0.0.1', '::1', hostname(), ...hosts, ...ownHost, ...ofServices])];
}

const isAny = (host: string): boolean => host === '0.0.0.0' || host === '::';

async function ownPair(folder: string, names: readonly [string, ...string[]], now: number): Promise<CertificatePair> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await chmod(folder, 0o700);
  const authority =
    (await stored(folder, 'ca')) ?? (await kept(folder, 'ca', await makeAuthority(`SutazAI on ${hostname()}`, now)));
  const before = await stored(folder, 'door');
  if (before && !isDue(before, authority, names, now)) return before;
  return kept(folder, 'door', await issue(authority, names, now));
}

/** Null where it is not there as a whole, as when a process died between the two. */
async function stored(folder: string, name: string): Promise<CertificatePair | null> {
  const [cert, key] = await Promise.all(['pem', 'key'].map((kind) => readMaybe(join(folder, `${name}.${kind}`))));
  if (cert == null || key == null) return null;
  try {
    return new X509Certificate(cert).checkPrivateKey(createPrivateKey(key)) ? { cert, key } : null;
  } catch {
    return null;
  }
}

async function kept(folder: string, name: string, pair: CertificatePair): Promise<CertificatePair> {
  await writeWhole(join(folder, `${name}.key`), pair.key, 0o600);
  await writeWhole(join(folder, `${name}.pem`), pair.cert, 0o644);
  return pair;
}
