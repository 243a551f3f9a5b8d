import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import type { JWTPayload } from 'jose';

type Pair = Awaited<ReturnType<typeof generateKeyPair>>;

/** A real issuer of tokens on a port of its own, as OpenID Connect describes them; its keys can be changed while it runs. */
export async function startIssuer() {
  const keys = new Map<string, Pair>();
  const withdrawn = new Set<string>();
  let latest = '';
  let answering = true;
  let asked = 0;
  let garbled: string | null = null;
  const server = createServer((req, res) => {
    asked++;
    if (!answering) return void res.destroy();
    const send = (value: unknown) =>
      void res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (req.url === '/.well-known/openid-configuration') return send({ issuer: url, jwks_uri: `${url}/keys` });
    if (req.url !== '/keys') return void res.writeHead(404).end();
    if (garbled !== null) return void res.end(garbled);
    const shown = [...keys]
      .filter(([kid]) => !withdrawn.has(kid))
      .map(async ([kid, { publicKey }]) => ({ ...(await exportJWK(publicKey)), kid, use: 'sig' }));
    Promise.all(shown).then(
      (all) => send({ keys: all }),
      () => res.destroy(),
    );
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const addKey = async (kid: string, algorithm = 'ES256') => {
    keys.set(kid, await generateKeyPair(algorithm));
    latest = kid;
  };
  await addKey('first');
  return {
    url,
    addKey,
    /** It is not shown any more; whoever has it can still sign. */
    withdrawKey: (kid: string) => void withdrawn.add(kid),
    answer: (does: boolean) => void (answering = does),
    /** What it says in place of its keys; null for the keys. */
    garble: (text: string | null) => void (garbled = text),
    /** How often it was asked for anything. */
    asked: () => asked,
    publicKey: async (kid: string) => exportJWK((keys.get(kid) as Pair).publicKey),
    /** A token of somebody; `at` is the time in milliseconds at which it is made. */
    token(claims: JWTPayload = {}, { at = Date.now(), life = 300, kid = latest, algorithm = 'ES256' } = {}) {
      const now = Math.floor(at / 1000);
      return new SignJWT({ iss: url, aud: 'sutaz', sub: 'ada', iat: now, exp: now + life, ...claims })
        .setProtectedHeader({ alg: algorithm, kid })
        .sign((keys.get(kid) as Pair).privateKey);
    },
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

export type FakeIssuer = Awaited<ReturnType<typeof startIssuer>>;
