/** Makes a CA with openssl, and two certificates from it: one for an etcd, one for its clients. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Certificates {
  readonly ca: string;
  /** The server's, valid for its IP address. */
  readonly server: { readonly cert: string; readonly key: string };
  readonly client: { readonly cert: string; readonly key: string };
}

export function makeCertificates(root: string, name: string, address: string): Certificates {
  const directory = join(root, name);
  mkdirSync(directory);
  const file = (each: string) => join(directory, each);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const newKey = (each: string) => [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-keyout',
    file(`${each}.key`),
  ];
  openssl('req', '-x509', ...newKey('ca'), '-out', file('ca.pem'), '-subj', `/CN=authority ${name}`, '-days', '2');
  const issue = (each: string, subject: string) => {
    openssl('req', ...newKey(each), '-out', file(`${each}.csr`), '-subj', subject);
    // NB: clientAuth for the server, too: etcd's gateway connects to etcd itself with the server's certificate.
    writeFileSync(file(`${each}.ext`), `subjectAltName=IP:${address}\nextendedKeyUsage=serverAuth,clientAuth\n`);
    const by = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial'];
    openssl(
      'x509',
      '-req',
      '-in',
      file(`${each}.csr`),
      ...by,
      '-out',
      file(`${each}.pem`),
      '-days',
      '2',
      '-extfile',
      file(`${each}.ext`),
    );
    return { cert: file(`${each}.pem`), key: file(`${each}.key`) };
  };
  // NB: no common name for the client. etcd takes it for a user, and refuses it at its gateway once it has users.
  return { ca: file('ca.pem'), server: issue('server', '/CN=server'), client: issue('client', '/O=netloom') };
}

/** Arguments with which an etcd serves TLS and demands client certificates. */
export function tlsArgs({ ca, server }: Certificates): string[] {
  return ['--cert-file', server.cert, '--key-file', server.key, '--trusted-ca-file', ca, '--client-cert-auth'];
}
