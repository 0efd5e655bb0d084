/** What `netloom run` and `netloom sandbox create` share. */
import { NetloomError } from '../../error.ts';
import { Ip } from '../../net/ip.ts';
import { type PortMapping, parsePorts } from '../../runtime/ports.ts';
import { isHostPair } from '../../runtime/sandbox/files.ts';
import type { SandboxOptions } from '../../runtime/sandbox/sandbox.ts';

export interface SandboxFlags {
  readonly name?: string;
  readonly network?: readonly string[];
  readonly publish?: readonly (readonly PortMapping[])[];
  readonly dns?: readonly Ip[];
  readonly dnsSearch?: readonly string[];
  readonly addHost?: readonly string[];
}

const list = { kind: 'parsed', optional: true, variadic: true } as const;

export const sandboxFlags = {
  name: {
    kind: 'parsed',
    optional: true,
    parse: String,
    placeholder: 'NAME',
    brief: 'Name of the sandbox; default: sb- and six hex digits',
  },
  network: {
    ...list,
    parse: String,
    placeholder: 'NET',
    brief: 'Join NET[,ip=IP][,mac=MAC][,ifname=NAME], none, host or container:TARGET',
  },
  publish: {
    ...list,
    parse: parsePorts,
    placeholder: 'HOST:CONTAINER',
    brief: 'Publish [[HOSTIP:][HOSTPORT]:]PORT[/tcp|udp|sctp]; default: a free HOSTPORT',
  },
  dns: { ...list, parse: Ip.parse, placeholder: 'IP', brief: "Name server; default: the networks' or this machine's" },
  dnsSearch: {
    ...list,
    parse: parseWord,
    placeholder: 'DOMAIN',
    brief: 'Search domain, "." for none; default: as for --dns',
  },
  addHost: {
    ...list,
    parse: parseHost,
    placeholder: 'NAME:IP',
    brief: 'Line for /etc/hosts; NAME:host-gateway is the host itself',
  },
} as const;

export const sandboxAliases = { p: 'publish' } as const;

export function optionsOf({
  name,
  network = [],
  publish = [],
  dns = [],
  dnsSearch = [],
  addHost = [],
}: SandboxFlags): SandboxOptions {
  return {
    name,
    networks: network,
    ports: publish.flat(),
    nameservers: dns.map(String),
    search: dnsSearch,
    hosts: addHost,
  };
}

function parseWord(text: string): string {
  if (text !== '' && !/\s/.test(text)) return text;
  throw new NetloomError('invalid-domain', `${JSON.stringify(text)} is not a domain`);
}

function parseHost(text: string): string {
  if (isHostPair(text)) return text;
  throw new NetloomError(
    'invalid-host',
    `${JSON.stringify(text)} is not a line for /etc/hosts, expected NAME:ADDRESS or NAME:host-gateway`,
  );
}
