/** The keys under `store` that say where an etcd is, and how to speak to it. docs/overlay.md */
import * as v from 'valibot';
import { object, text } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';
import type { EtcdSettings } from '../../overlay/etcd/settings.ts';
import { invalid, pathOf } from './invalid.ts';

const PREFIX = '/netloom';
/** Scheme, host (a name, or an address, IPv6 in brackets), port. */
const ENDPOINT = /^(https?):\/\/(\[[0-9a-fA-F:.]+\]|[a-zA-Z0-9][a-zA-Z0-9.-]*):([0-9]{1,5})\/?$/;
const FILES = ['ca', 'cert', 'key'] as const;

export const etcdKeys = {
  endpoints: v.optional(v.array(text), []),
  prefix: v.exactOptional(text),
  ca: v.exactOptional(text),
  cert: v.exactOptional(text),
  key: v.exactOptional(text),
  user: v.exactOptional(text),
  password: v.exactOptional(text),
  passwordFile: v.exactOptional(text),
};

const schema = object(etcdKeys);

/** @throws NetloomError invalid-config */
export function etcdOf(store: v.InferOutput<typeof schema>): EtcdSettings {
  const { endpoints, prefix = PREFIX, ca, cert, key, user, password, passwordFile } = store;
  if (endpoints.length === 0) throw invalid('store.endpoints', '[]', 'at least one such as "https://192.0.2.1:2379"');
  const schemes = endpoints.map((endpoint, i) => schemeOf(endpoint, `store.endpoints[${i}]`));
  if (!prefix.startsWith('/') || prefix.endsWith('/')) {
    throw invalid('store.prefix', prefix, `what keys begin with, such as "${PREFIX}", without "/" at its end`);
  }
  for (const name of FILES) {
    const path = store[name];
    if (path === undefined) continue;
    pathOf(path, name, 'a file in PEM');
    if (!schemes.includes('https')) throw invalid(`store.${name}`, path, 'an endpoint of "https" to go with it');
  }
  requireBoth('cert', cert, 'key', key);
  if (password !== undefined) {
    throw new NetloomError(
      'invalid-config',
      'failed to load netconf: "store.password" is there, expected "store.passwordFile": everybody may read a conflist',
    );
  }
  requireBoth('user', user, 'passwordFile', passwordFile);
  if (passwordFile !== undefined) pathOf(passwordFile, 'passwordFile', 'a file with the password');
  return { endpoints: endpoints.map((each) => each.replace(/\/$/, '')), prefix, ca, cert, key, user, passwordFile };
}

function schemeOf(endpoint: string, at: string): string {
  const [, scheme, , port] = ENDPOINT.exec(endpoint) ?? [];
  if (scheme !== undefined && Number(port) >= 1 && Number(port) <= 65_535) return scheme;
  throw invalid(at, endpoint, 'a URL such as "https://192.0.2.1:2379" or "http://etcd.example:2379"');
}

function requireBoth(one: string, first: string | undefined, other: string, second: string | undefined): void {
  if ((first === undefined) === (second === undefined)) return;
  const [there, missing] = first === undefined ? [other, one] : [one, other];
  throw new NetloomError(
    'invalid-config',
    `failed to load netconf: "store.${missing}" is missing, expected it beside "store.${there}"`,
  );
}
