/** An etcd that demands a user and a password, with tokens that expire. */
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { encode, startingWith } from '../../src/overlay/etcd/wire.ts';
import type { Etcd } from './etcd.ts';

export const USER = 'netloom';
export const PASSWORD = 'correct horse';

/** Arguments for an etcd whose tokens expire, used or not. */
export function tokenArgs(root: string, seconds: number): string[] {
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const [pub, priv] = [join(root, 'jwt.pub'), join(root, 'jwt.key')];
  writeFileSync(pub, publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(priv, privateKey.export({ type: 'pkcs1', format: 'pem' }));
  return [
    '--auth-token',
    `jwt,pub-key=${pub},priv-key=${priv},sign-method=RS256,ttl=${seconds}s`,
    '--bcrypt-cost',
    '4',
  ];
}

/** Makes a file with the password. @returns its path */
export function passwordFile(root: string): string {
  const file = join(root, 'password');
  writeFileSync(file, `${PASSWORD}\n`, { mode: 0o600 });
  return file;
}

/** Makes a user with access to netloom's keys only. From then on, etcd demands a token. */
export async function requireUsers(etcd: Etcd): Promise<void> {
  const steps: [path: string, body: unknown][] = [
    ['user/add', { name: 'root', password: 'root' }],
    ['user/grant', { user: 'root', role: 'root' }],
    ['role/add', { name: USER }],
    ['role/grant', { name: USER, perm: { permType: 'READWRITE', ...startingWith('/netloom/') } }],
    ['user/add', { name: USER, password: PASSWORD }],
    ['user/grant', { user: USER, role: USER }],
    ['enable', {}],
  ];
  for (const [path, body] of steps) await etcd.ask(`/v3/auth/${path}`, body);
}

/** A range request that needs the user's token, and that the user is allowed. */
export const QUESTION = { key: encode('/netloom/x') };
