/** resolv.conf and hosts of a sandbox. man 5 resolv.conf, man 5 hosts */

import { removeDirectory, tryList } from '../../ffi/directory.ts';
import { makeDirectories, replaceText, tryReadText, unlink } from '../../ffi/file.ts';
import { Ip } from '../../net/ip.ts';
import type { RuntimeContext } from '../context.ts';
import type { Sandbox } from './store.ts';

/** In place of an address: the addresses by which the sandbox reaches the host. docker's word. */
const HOST_GATEWAY = 'host-gateway';

/**
 * From the results of the sandbox's networks: name servers and search domains, the sandbox's own addresses, and those
 * of the host there.
 */
export interface Surroundings {
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly addresses: readonly string[];
  readonly gateways: readonly string[];
}

/** What was requested. */
type Asking = Readonly<Pick<Sandbox, 'name'>> & {
  readonly [K in 'hosts' | 'nameservers' | 'search']: readonly string[];
};

export interface SandboxFiles {
  readonly resolvConf: string;
  readonly hosts: string;
}

export function filesOf({ paths }: Pick<RuntimeContext, 'paths'>, name: string): SandboxFiles {
  const directory = `${paths.run}/sandboxes/${name}`;
  return { resolvConf: `${directory}/resolv.conf`, hosts: `${directory}/hosts` };
}

export function writeFiles(context: RuntimeContext, sandbox: Sandbox, around: Surroundings): void {
  const { resolvConf, hosts } = filesOf(context, sandbox.name);
  const texts = textsOf(sandbox, around);
  makeDirectories(resolvConf.slice(0, resolvConf.lastIndexOf('/')));
  replaceText(resolvConf, texts.resolvConf, 0o644);
  replaceText(hosts, texts.hosts, 0o644);
}

/** The contents of both files. */
export function textsOf(sandbox: Asking, around: Surroundings): SandboxFiles {
  return {
    resolvConf: resolvConfOf(sandbox, around, tryReadText('/etc/resolv.conf') ?? ''),
    hosts: hostsOf(sandbox, around),
  };
}

export function removeFiles(context: RuntimeContext, name: string): void {
  const { resolvConf } = filesOf(context, name);
  const directory = resolvConf.slice(0, resolvConf.lastIndexOf('/'));
  // With the temporary files of a killed netloom.
  for (const file of tryList(directory) ?? []) unlink(`${directory}/${file}`);
  removeDirectory(directory);
}

/**
 * Requested values take precedence over those of the networks, and these over the host's own file. Of that, name
 * servers on the loopback are left out: the sandbox has another loopback.
 */
export function resolvConfOf(
  sandbox: Pick<Asking, 'nameservers' | 'search'>,
  around: Surroundings,
  host: string,
): string {
  const lines = host.split('\n').map((line) => line.trim().split(/\s+/));
  const values = (key: string) => lines.filter(([word]) => word === key).flatMap(([, ...rest]) => rest);
  const first = (...lists: readonly (readonly string[])[]) => lists.find((list) => list.length > 0) ?? [];
  const reachable = values('nameserver').filter((server) => !/^(127\.|::1$)/.test(server));
  const nameservers = first(sandbox.nameservers, around.nameservers, reachable);
  const search = first(sandbox.search, around.search, values('search'));
  const options = values('options');
  return [
    ...(search.length > 0 && search[0] !== '.' ? [`search ${search.join(' ')}`] : []),
    ...nameservers.map((server) => `nameserver ${server}`),
    ...(options.length > 0 ? [`options ${options.join(' ')}`] : []),
    '',
  ].join('\n');
}

export function hostsOf(
  { name, hosts }: Pick<Asking, 'name' | 'hosts'>,
  { addresses, gateways }: Surroundings,
): string {
  return [
    '127.0.0.1\tlocalhost',
    '::1\tlocalhost ip6-localhost ip6-loopback',
    ...addresses.map((address) => `${address.replace(/\/.*$/, '')}\t${name}`),
    ...hosts.flatMap((pair) => {
      const at = pair.search(/[:=]/);
      const address = pair.slice(at + 1);
      return (address === HOST_GATEWAY ? gateways : [address]).map((each) => `${each}\t${pair.slice(0, at)}`);
    }),
    '',
  ].join('\n');
}

/** Whether a line of hosts stands for the addresses of the host. */
export function isOfHost(pair: string): boolean {
  return pair.slice(pair.search(/[:=]/) + 1) === HOST_GATEWAY;
}

/** Whether a pair is `NAME:ADDRESS` or `NAME=ADDRESS`, as in docker. */
export function isHostPair(pair: string): boolean {
  const at = pair.search(/[:=]/);
  return at > 0 && !/\s/.test(pair) && (isOfHost(pair) || Ip.tryParse(pair.slice(at + 1)) !== undefined);
}
