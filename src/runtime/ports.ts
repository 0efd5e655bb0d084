/**
 * Published ports in docker's notation: `[[HOSTIP:][HOSTPORT]:]CONTAINERPORT[/PROTOCOL]`, with ports or ranges of equal
 * length.
 */
import { NetloomError } from '../error.ts';
import { Ip } from '../net/ip.ts';

/** An element of the `portMappings` capability. */
export interface PortMapping {
  /** 0 until one is chosen (chosenPorts()). */
  readonly hostPort: number;
  readonly containerPort: number;
  readonly protocol: string;
  readonly hostIP?: string;
}

const PROTOCOLS = ['tcp', 'udp', 'sctp'];
const EXPECTED = 'expected [[HOSTIP:][HOSTPORT]:]CONTAINERPORT[/tcp|udp|sctp], such as 8080:80';

/** @throws NetloomError invalid-port */
export function parsePorts(text: string): PortMapping[] {
  const refuse = (why: string): never => {
    throw new NetloomError('invalid-port', `"${text}" cannot be published: ${why}, ${EXPECTED}`);
  };
  const [, address, host = '', container = '', protocol = 'tcp'] =
    /^(?:(?:(\[[^\]]*\]|[^:[\]]*):)?([^:/]*):)?([^:/]+)(?:\/(.*))?$/.exec(text) ?? refuse('it is malformed');
  const hostIP = address === undefined || address === '' ? undefined : Ip.tryParse(address.replace(/^\[|\]$/g, ''));
  if (address !== undefined && address !== '' && hostIP === undefined) refuse(`"${address}" is not an address`);
  if (!PROTOCOLS.includes(protocol)) refuse(`"${protocol}" is not a protocol`);
  const containerPorts = range(container) ?? refuse(`"${container}" is not a port`);
  const hostPorts = host === '' ? containerPorts.map(() => 0) : (range(host) ?? refuse(`"${host}" is not a port`));
  if (hostPorts.length !== containerPorts.length) refuse('the ranges differ in length');
  return hostPorts.map((hostPort, i) => ({
    hostPort,
    containerPort: containerPorts[i] ?? 0,
    protocol,
    ...(hostIP !== undefined && { hostIP: `${hostIP}` }),
  }));
}

/** `127.0.0.1:8080->80/tcp` */
export function portWords({ hostPort, containerPort, protocol, hostIP }: PortMapping): string {
  const address = hostIP === undefined ? '' : `${hostIP.includes(':') ? `[${hostIP}]` : hostIP}:`;
  return `${address}${hostPort}->${containerPort}/${protocol}`;
}

function range(text: string): number[] | undefined {
  const [, from, to = from] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text) ?? [];
  const [first, last] = [Number(from), Number(to)];
  if (!(first >= 1 && last >= first && last <= 65535)) return undefined;
  return Array.from({ length: last - first + 1 }, (_, i) => first + i);
}
