/**
 * Host ports for mappings that leave the choice to us: from the range that the kernel takes ephemeral ports from, as
 * docker does. man 7 ip, ip_local_port_range
 */
import { listeners, openDiag } from '../diag/listeners.ts';
import { NetloomError } from '../error.ts';
import { randomBytes } from '../ffi/random.ts';
import { readSysctl } from '../net/sysctl.ts';
import { AttachmentCache } from './cache.ts';
import type { RuntimeContext } from './context.ts';
import type { PortMapping } from './ports.ts';

const PROTOCOLS = ['tcp', 'udp', 'sctp'] as const;
type Protocol = (typeof PROTOCOLS)[number];

/**
 * The mappings, with a host port chosen for each that has none: one without a listener that no attachment has.
 * @throws NetloomError no-free-port
 */
export function chosenPorts(context: RuntimeContext, asked: readonly PortMapping[]): PortMapping[] {
  if (asked.every(({ hostPort }) => hostPort !== 0)) return [...asked];
  const taken = new Set([...asked, ...published(context)].map(key));
  using diag = openDiag();
  const isFree = (port: PortMapping) =>
    !taken.has(key(port)) && listeners(diag, protocolOf(port), port.hostPort).length === 0;
  return asked.map((port) => {
    if (port.hostPort !== 0) return port;
    const chosen = candidates()
      .map((hostPort) => ({ ...port, hostPort }))
      .find(isFree);
    if (chosen === undefined) {
      throw new NetloomError('no-free-port', `Cannot publish ${port.containerPort}/${port.protocol}: no port is free`);
    }
    taken.add(key(chosen));
    return chosen;
  });
}

/** The ports of all attachments, of any runtime. */
function published({ paths, warn }: RuntimeContext): PortMapping[] {
  const all = new AttachmentCache(paths.cni).list(warn);
  return all.flatMap(({ capabilityArgs: { portMappings } }) =>
    Array.isArray(portMappings) ? (portMappings as PortMapping[]) : [],
  );
}

function key({ protocol, hostPort }: PortMapping): string {
  return `${protocol} ${hostPort}`;
}

function protocolOf({ protocol }: PortMapping): Protocol {
  return PROTOCOLS.find((each) => each === protocol) ?? 'tcp';
}

/** All ports of the range, beginning at a random one. */
function candidates(): number[] {
  const [first = 32768, last = 60999] = (readSysctl('net/ipv4/ip_local_port_range') ?? '').split(/\s+/).map(Number);
  const count = last - first + 1;
  const begin = new DataView(randomBytes(4).buffer).getUint32(0) % count;
  return Array.from({ length: count }, (_, i) => first + ((begin + i) % count));
}
