import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault, systemCode } from '#kernel/faults';
import { defineCommand } from './command.ts';

/** How each system and the usual programs are told to trust a certificate of one's own. */
const ways = (file: string): readonly (readonly [where: string, how: string])[] => [
  ['curl', `curl --cacert ${file} https://localhost:8080/healthz`],
  ['Node', `NODE_EXTRA_CA_CERTS=${file}`],
  ['Python', `SSL_CERT_FILE=${file}   (requests: REQUESTS_CA_BUNDLE)`],
  ['Debian, Ubuntu', `sudo cp ${file} /usr/local/share/ca-certificates/sutaz.crt && sudo update-ca-certificates`],
  ['Fedora', `sudo cp ${file} /etc/pki/ca-trust/source/anchors/sutaz.pem && sudo update-ca-trust`],
  ['macOS', `sudo security add-trusted-cert -d -r trustRoot -k /Library/Keychains/System.keychain ${file}`],
  ['Windows', `certutil -addstore -f ROOT ${file}`],
  ['Firefox', 'Settings, Privacy & Security, Certificates: import it under Authorities'],
];

export const certs = defineCommand({
  arguments: '',
  about:
    'Shows the certificate of the authority that issues for this home (`listen: { tls: auto }`), and how to trust it. ' +
    'Who trusts it believes whoever has its key, which stays in the home: trust it on machines of your own only. ' +
    'The platform need not run.',
  options: { pem: { type: 'boolean', help: 'Print the certificate, and nothing else' } },
  examples: ['sutaz certs', 'sutaz certs --pem > sutaz.crt'],
  async run({ pem }, _words, context) {
    const file = join(context.home.root, 'tls', 'ca.pem');
    const text = await readFile(file, 'utf8').catch((error: unknown) => {
      if (systemCode(error) !== 'ENOENT') throw error;
      throw new Fault(
        'NOT_FOUND',
        'This home has no authority yet. Write `listen: { tls: auto }` into sutaz.yaml and start it.',
      );
    });
    const { subject, validTo, fingerprint256 } = new X509Certificate(text);
    if (context.json) return context.printJson({ file, subject, validTo, sha256: fingerprint256, pem: text });
    if (pem) return context.out(text);
    context.out(`${file}\n  valid until ${validTo}\n  SHA-256 ${fingerprint256}\n\nTo trust it:\n`);
    for (const [where, how] of ways(file)) context.out(`  ${where.padEnd(15)}${how}\n`);
  },
});
