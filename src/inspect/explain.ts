/** Explains attachments: those that exist, one that is to be made, and one that any container might get. */
import { NetloomError } from '../error.ts';
import { netnsIdAt } from '../netns/namespace.ts';
import { hasDevices } from '../overlay/devices.ts';
import { openRoute } from '../rtnl/socket.ts';
import { AttachmentCache, type CachedAttachment } from '../runtime/cache.ts';
import { cachedList } from '../runtime/chain.ts';
import { findNetwork } from '../runtime/conf-directory.ts';
import { type Conflist, type Json, parseConflist } from '../runtime/conflist.ts';
import type { RuntimeContext } from '../runtime/context.ts';
import type { Endpoint } from '../runtime/invoke.ts';
import { attachmentsOf } from '../runtime/network/store.ts';
import type { SandboxFiles } from '../runtime/sandbox/files.ts';
import type { PlannedSandbox } from '../runtime/sandbox/sandbox.ts';
import type { Target } from '../runtime/target.ts';
import { CONTAINER, type Part, type Rehearsal, rehearse, type Step } from './rehearse.ts';
import { withoutStanding } from './standing.ts';

/**
 * The steps that made what a target has now, starting from nothing, with the addresses and MACs that it has.
 * @throws NetloomError not-attached
 */
export function explainTarget(context: RuntimeContext, target: Target): Rehearsal {
  const all = new AttachmentCache(context.paths.cni).list((message) => context.warn(message));
  const parts = all.filter((attachment) => isOf(attachment, target)).map(asItStands);
  if (parts.length === 0) {
    throw new NetloomError(
      'not-attached',
      `${target.words} is attached to no network that a container runtime has remembered`,
      {
        hint: '"netloom inspect" shows what it is wired to',
      },
    );
  }
  const rehearsal = rehearse(context, parts, { without: onHost(parts) });
  const results = parts.map(({ result }) => result);
  return withMacs({ ...rehearsal, steps: withForward(rehearsal.steps) }, results);
}

const IN_FORWARD = /^nft 'insert rule (ip6?) filter FORWARD /;

/**
 * On a host whose iptables has not forwarded anything yet, the chain for this rule does not exist. NB: without a
 * policy, so that an existing chain keeps its own.
 */
function withForward(steps: readonly Step[]): readonly Step[] {
  const families = steps.flatMap(({ told }) => told.flatMap(({ command }) => IN_FORWARD.exec(command)?.[1] ?? []));
  if (families.length === 0) return steps;
  const told = families.flatMap((family) => [
    { action: `add the table "${family} filter" of iptables`, command: `nft 'add table ${family} filter'` },
    {
      action: `add its chain "FORWARD"`,
      command: `nft 'add chain ${family} filter FORWARD { type filter hook forward priority filter ; }'`,
    },
  ]);
  return [{ where: 'host', told }, ...steps];
}

/** MACs that nobody asked for differ each time: those of the rehearsal are replaced by the existing ones. */
function withMacs(rehearsal: Rehearsal, results: readonly Json[]): Rehearsal {
  const macs = rehearsal.results.flatMap((result, i) =>
    interfacesOf(result).flatMap(({ name, mac, sandbox }): [string, string][] => {
      const stands = interfacesOf(results[i] ?? {}).find(
        (each) => each.name === name && !each.sandbox === !sandbox,
      )?.mac;
      return mac === undefined || stands === undefined ? [] : [[mac, stands]];
    }),
  );
  const put = (text: string) => macs.reduce((words, [played, stands]) => words.replaceAll(played, stands), text);
  const steps = rehearsal.steps.map(({ where, told }) => ({
    where,
    told: told.map(({ action, command }) => ({ action: put(action), command: put(command) })),
  }));
  return { ...rehearsal, steps };
}

/**
 * What attaching one container would do now, on this host as it is.
 * @param after called at the end, in the namespace that plays the host
 */
export function explainAdd(
  context: RuntimeContext,
  parts: readonly Part[],
  after: (results: readonly Json[]) => void = () => {},
): Rehearsal {
  const lists = new Map(parts.map(({ list }) => [list.name, list]));
  const rehearsal = rehearse(context, parts, {
    before: [...lists.values()].flatMap((list) => standing(context, list)),
    after,
  });
  return { ...rehearsal, steps: withoutStanding(rehearsal.steps) };
}

/**
 * One existing attachment of a network, so that the rehearsal also has what only the first attachment makes. One with
 * ports is preferred, because it makes more. Where an overlay's devices exist and no runtime here remembers an
 * attachment to it, an invented one serves.
 */
function standing(context: RuntimeContext, list: Conflist): Part[] {
  const [other] = attachmentsOf(context, list.name).toSorted((a, b) => portsOf(b).length - portsOf(a).length);
  if (other !== undefined) return [{ list: cachedList(other), endpoint: itselfAnew(other) }];
  return hasOverlay(list) ? [{ list, endpoint: { ...ANYBODY, containerId: 'another' } }] : [];
}

function hasOverlay({ name, plugins }: Conflist): boolean {
  using nl = openRoute();
  return plugins.some(({ type }) => type === 'overlay') && hasDevices(nl, name, undefined);
}

/** What making a sandbox would do: its namespace, and its attachments. */
export function explainSandbox(context: RuntimeContext, plan: PlannedSandbox): Rehearsal {
  const { netns, endpoints, command } = plan;
  let texts: SandboxFiles | undefined;
  const attached = explainAdd(context, endpoints, (results) => {
    texts = plan.textsWith(results);
  });
  const files: Record<string, string> =
    texts === undefined ? {} : { '/etc/resolv.conf': texts.resolvConf, '/etc/hosts': texts.hosts };
  const rehearsal = {
    ...attached,
    ...(command.length > 0 && { run: { command, isInside: netns !== undefined, files } }),
    notes: [command.length > 0 ? AFTER_RUN : FOR_EXEC],
  };
  if (!plan.isNew || netns === undefined) return rehearsal;
  const directory = netns.slice(0, netns.lastIndexOf('/'));
  const make = `mkdir -p '${directory}' && touch ${CONTAINER} && unshare --net=${CONTAINER} true`;
  const steps: Step[] = [
    { where: 'host', told: [{ action: `make the network namespace "${netns}"`, command: make }] },
    { where: 'container', told: [{ action: 'change the link "lo"', command: 'ip link set lo up' }] },
  ];
  return { ...rehearsal, steps: [...steps, ...rehearsal.steps] };
}

const AFTER_RUN = 'the network that is made stays; netloom takes it away when the command has ended';
const FOR_EXEC = 'resolv.conf and hosts are for "netloom exec", which knows the sandboxes that netloom makes';

/** What attaching any container to a network would do. @throws NetloomError no-network */
export function explainNetwork(context: RuntimeContext, name: string): Rehearsal {
  const { list } = findNetwork(context.paths.conf, name);
  return explainAdd(context, [{ list, endpoint: ANYBODY }]);
}

const ANYBODY: Endpoint = { containerId: 'container', netns: '', ifname: 'eth0', args: [], capabilityArgs: {} };

function portsOf({ capabilityArgs: { portMappings } }: CachedAttachment): readonly unknown[] {
  return Array.isArray(portMappings) ? portMappings : [];
}

/** The endpoint of an attachment with its ports, but with any address. */
function itselfAnew(attachment: CachedAttachment): Endpoint {
  const { containerId, ifname } = attachment;
  const { portMappings } = takenBy(cachedList(attachment), attachment.capabilityArgs);
  return {
    containerId,
    netns: '',
    ifname,
    args: [],
    capabilityArgs: portMappings === undefined ? {} : { portMappings },
  };
}

/** The capability arguments that a plugin has declared. podman passes more, such as `aliases`, which libcni ignores. */
function takenBy({ plugins }: Conflist, capabilityArgs: Json): Json {
  const declared = plugins.flatMap(({ capabilities }) => capabilities);
  return Object.fromEntries(Object.entries(capabilityArgs).filter(([name]) => declared.includes(name)));
}

function isOf({ netns, containerId }: CachedAttachment, target: Target): boolean {
  if (containerId === target.id.containerId) return true;
  try {
    return netns !== '' && netnsIdAt(netns) === target.netns.id;
  } catch {
    return false; // The process has just ended.
  }
}

/** The attachment with its addresses fixed, in place of an IPAM plugin that would allocate others. */
function asItStands(attachment: CachedAttachment): Part & { readonly result: Json } {
  const list = cachedList(attachment);
  const result = attachment.result ?? {};
  const json = JSON.parse(list.text) as Json;
  const freeze = (conf: Json): Json =>
    typeof conf['ipam'] === 'object' && hasIpam(conf) ? { ...conf, ipam: frozen(conf, result) } : conf;
  const whole = Array.isArray(json['plugins']) ? { ...json, plugins: json['plugins'].map(freeze) } : freeze(json);
  const declared = list.plugins.flatMap(({ capabilities }) => capabilities);
  const { ips: _ips, ...capabilityArgs } = takenBy(list, attachment.capabilityArgs);
  const mac = macOf(result, attachment.ifname);
  // A plugin that chooses addresses by itself is asked for the existing ones.
  const ips = list.plugins.some(({ conf }) => hasIpam(conf)) ? [] : ipsOf(result).map(({ address }) => bare(address));
  const [ip] = ips;
  const args = attachment.args.filter(([key]) => key !== 'IP');
  const asksByArgs = ip !== undefined && !declared.includes('ips');
  const endpoint: Endpoint = {
    ...attachment,
    args: asksByArgs ? [['IgnoreUnknown', '1'], ...args, ['IP', ip]] : args,
    capabilityArgs: {
      ...capabilityArgs,
      ...(declared.includes('mac') && mac !== undefined && { mac }),
      ...(declared.includes('ips') && ips.length > 0 && { ips }),
    },
  };
  return { list: parseConflist(JSON.stringify(whole), `the attachment to "${list.name}"`), endpoint, result };
}

function hasIpam(conf: Json): boolean {
  return typeof (conf['ipam'] as Json | null)?.['type'] === 'string';
}

function frozen(conf: Json, result: Json): Json {
  const { routes, dns } = conf['ipam'] as Json;
  return {
    type: 'static',
    addresses: ipsOf(result).map(({ address, gateway }) => ({ address, ...(gateway !== undefined && { gateway }) })),
    ...(routes !== undefined && { routes }),
    ...(dns !== undefined && { dns }),
  };
}

function ipsOf(result: Json): readonly Json[] {
  return Array.isArray(result['ips']) ? (result['ips'] as Json[]) : [];
}

/** `10.1.0.2` of `10.1.0.2/24` */
function bare(address: unknown): string {
  return String(address).split('/')[0] ?? '';
}

interface Interface {
  readonly name?: string;
  readonly mac?: string;
  readonly sandbox?: string;
}

function interfacesOf(result: Json): readonly Interface[] {
  return Array.isArray(result['interfaces']) ? (result['interfaces'] as Interface[]) : [];
}

function macOf(result: Json, ifname: string): string | undefined {
  return interfacesOf(result).find(({ name, sandbox }) => name === ifname && (sandbox ?? '') !== '')?.mac;
}

/** What the networks have on the host: the bridges that they make, and the other host interfaces in their results. */
function onHost(parts: readonly { readonly list: Conflist; readonly result: Json }[]): string[] {
  return parts.flatMap(({ list, result }) => [
    ...list.plugins
      .filter(({ type }) => type === 'bridge')
      .map(({ conf }) => (typeof conf['bridge'] === 'string' ? conf['bridge'] : 'cni0')),
    ...interfacesOf(result).flatMap(({ name, sandbox }) => (sandbox || name === undefined ? [] : [name])),
  ]);
}
