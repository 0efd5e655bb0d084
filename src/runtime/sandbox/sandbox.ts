/** Creating and removing sandboxes. */
import { gather } from '../../attach/gather.ts';
import { isName } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';
import { randomBytes } from '../../ffi/random.ts';
import { openNetns } from '../../netns/namespace.ts';
import { pinAt, pinFile, pinNew, unpin } from '../../netns/pin.ts';
import { withNetns } from '../../netns/within.ts';
import * as addr from '../../rtnl/addr.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { AttachmentCache } from '../cache.ts';
import { findNetwork } from '../conf-directory.ts';
import type { Json } from '../conflist.ts';
import { type Asked, type Connected, connectLocked, type Planned, plannedEndpoints, remove } from '../connect.ts';
import type { RuntimeContext } from '../context.ts';
import { EndpointStore } from '../endpoints.ts';
import { exclusively } from '../lock.ts';
import type { PortMapping } from '../ports.ts';
import { findProcess, killAll, processesIn } from '../process.ts';
import { openTarget, Target, type TargetId } from '../target.ts';
import { isOfHost, removeFiles, type SandboxFiles, type Surroundings, textsOf, writeFiles } from './files.ts';
import { type Mode, modeOf, type NetworkRequest } from './mode.ts';
import { type Sandbox, sandboxNetns, sandboxRecords, tryFindLost, tryFindSandbox, tryOpenPin } from './store.ts';

export interface SandboxOptions {
  /** Generated where it is not given. */
  readonly name?: string | undefined;
  /** Each `--network`. */
  readonly networks: readonly string[];
  readonly ports: readonly PortMapping[];
  readonly nameservers: readonly string[];
  readonly search: readonly string[];
  readonly hosts: readonly string[];
  /** The command that the sandbox ends with, for `netloom run`. */
  readonly command?: readonly string[];
}

export interface MadeSandbox {
  readonly sandbox: Sandbox;
  readonly connected: readonly Connected[];
}

/**
 * Creates a sandbox with its networks: all of it, or nothing.
 * @throws NetloomError sandbox-exists, exclusive-network, and what connect() throws
 */
export function createSandbox(context: RuntimeContext, options: SandboxOptions): MadeSandbox {
  const mode = modeOf(options.networks);
  return exclusively(context, () => {
    const name = nameFor(context, options.name);
    checkPorts(mode, options.ports);
    const runner = options.command === undefined ? undefined : findProcess(process.pid);
    const sandbox: Sandbox = {
      format: 1,
      name,
      mode: mode.kind === 'container' ? `container:${mode.target}` : mode.kind,
      isTransient: options.command !== undefined,
      nameservers: [...options.nameservers],
      search: [...options.search],
      hosts: [...options.hosts],
      command: [...(options.command ?? [])],
      ...(runner !== undefined && { runner }),
    };
    using undo = new DisposableStack();
    undo.defer(() => removeLocked(context, sandbox));
    sandboxRecords(context).put(name, sandbox);
    makeNamespace(context, sandbox);
    const connected = mode.kind === 'own' ? wire(context, sandbox, mode.networks, options.ports) : [];
    if (mode.kind !== 'host') {
      const around = surroundingsOf(connected.map(({ result }) => result));
      refuseUnreachableHost(sandbox, around);
      writeFiles(context, sandbox, around);
    }
    undo.move();
    return { sandbox, connected };
  });
}

/** A sandbox that is only planned. */
export interface PlannedSandbox {
  readonly name: string;
  /** Whether its namespace would be created, and is neither the host's nor another container's. */
  readonly isNew: boolean;
  /** Where its namespace would be pinned, or where the other container's is; undefined for the host's. */
  readonly netns: string | undefined;
  readonly endpoints: readonly Planned[];
  readonly command: readonly string[];
  /**
   * Its resolv.conf and hosts, given the results of its attachments; called in a namespace with the host's addresses.
   * Undefined where it uses the host's files.
   * @throws NetloomError no-host-gateway
   */
  textsWith(results: readonly Json[]): SandboxFiles | undefined;
}

/**
 * What createSandbox() would create.
 * @throws NetloomError sandbox-exists, exclusive-network, no-network, and what openTarget() throws
 */
export function planSandbox(context: RuntimeContext, options: SandboxOptions): PlannedSandbox {
  const mode = modeOf(options.networks);
  const name = nameFor(context, options.name);
  checkPorts(mode, options.ports);
  const { hosts, nameservers, search, command = [] } = options;
  const plan = { name, isNew: mode.kind === 'own', netns: undefined, endpoints: [], command };
  if (mode.kind === 'host') return { ...plan, textsWith: () => undefined };
  const textsWith = (results: readonly Json[]) => {
    const around = surroundingsOf(results);
    refuseUnreachableHost({ hosts }, around);
    return textsOf({ name, hosts, nameservers, search }, around);
  };
  if (mode.kind === 'container') {
    using target = openTarget(context, mode.target, { shared: true });
    return { ...plan, netns: target.netns.path, textsWith };
  }
  const netns = sandboxNetns(context, name);
  const requests = requestsOf(context, mode.networks, options.ports);
  return { ...plan, netns, endpoints: plannedEndpoints(context, idOf(name), netns, requests), textsWith };
}

/** The end of `netloom run`: whatever the command left running ends too, as in a container. */
export function endSandbox(context: RuntimeContext, sandbox: Sandbox): void {
  exclusively(context, () => {
    const now = tryFindSandbox(context, sandbox.name);
    // Somebody may have removed it, and created another of the same name.
    const isOurs = now === undefined ? tryFindLost(context, sandbox.name)?.isPinned : isOfRunner(now, sandbox);
    if (isOurs === true) removeLocked(context, sandbox);
  });
}

function isOfRunner({ runner }: Sandbox, other: Sandbox): boolean {
  return runner?.pid === other.runner?.pid && runner?.started === other.runner?.started;
}

/**
 * The processes in a sandbox's own namespace. In the host's or another container's they cannot be told apart from
 * others.
 */
export function sandboxProcesses(context: RuntimeContext, { name, mode }: Pick<Sandbox, 'name' | 'mode'>) {
  if (mode !== 'own') return [];
  using netns = tryOpenPin(sandboxNetns(context, name));
  return netns === undefined ? [] : processesIn(netns);
}

/**
 * Removes all of a sandbox, for callers that hold the lock. NB: the record goes last, so that a second try is possible.
 */
export function removeLocked(context: RuntimeContext, sandbox: Pick<Sandbox, 'name' | 'mode'>): void {
  const { name } = sandbox;
  const endpoints = new EndpointStore(context).of(name).filter(({ target }) => target.kind === 'sandbox');
  gather(
    () => killAll(sandboxProcesses(context, sandbox)),
    ...endpoints.map((record) => () => remove(context, record)),
    () => void unpin(sandboxNetns(context, name)),
    () => removeFiles(context, name),
  );
  sandboxRecords(context).remove(name);
}

/** Creates the namespace of a sandbox that has a record, with its loopback up. */
export function makeNamespace(context: RuntimeContext, { name, mode }: Pick<Sandbox, 'name' | 'mode'>): void {
  const path = sandboxNetns(context, name);
  if (mode === 'host') return;
  unpin(path); // Where the directory outlives a boot, the pin may have left an empty file.
  if (mode === 'own') {
    pinNew(path);
    using netns = openNetns(path);
    using nl = withNetns(netns, () => openRoute());
    nl.execute(link.set({ name: 'lo' }, {}, { up: true }));
    return;
  }
  using target = openTarget(context, mode.slice('container:'.length), { shared: true });
  pinFile(path);
  // By its descriptor: the path may lead to another one by now.
  pinAt(`/proc/self/fd/${target.netns.fd}`, path);
}

/** Names and addresses from the results of a sandbox's attachments. */
export function surroundingsOf(results: readonly Json[]): Surroundings {
  const words = (value: unknown) => (Array.isArray(value) ? value.filter((each) => typeof each === 'string') : []);
  const dns = results.map((result) => (result['dns'] ?? {}) as Json);
  const ips = results.flatMap((result) => (Array.isArray(result['ips']) ? (result['ips'] as Json[]) : []));
  return {
    nameservers: dns.flatMap(({ nameservers }) => words(nameservers)),
    search: dns.flatMap(({ search }) => words(search)),
    addresses: ips.flatMap(({ address }) => (typeof address === 'string' ? [address] : [])),
    gateways: ofHost(words(ips.map(({ gateway }) => gateway))),
  };
}

/** The given addresses that are the host's own: the gateway of a macvlan, for example, is another machine. */
function ofHost(addresses: readonly string[]): string[] {
  if (addresses.length === 0) return [];
  using nl = openRoute();
  const own = new Set(addr.list(nl).map(({ address }) => address.ip.toString()));
  return [...new Set(addresses)].filter((address) => own.has(address));
}

/** @throws NetloomError no-host-gateway */
function refuseUnreachableHost({ hosts }: Pick<SandboxOptions, 'hosts'>, { gateways }: Surroundings): void {
  const asking = hosts.find(isOfHost);
  if (asking === undefined || gateways.length > 0) return;
  throw new NetloomError(
    'no-host-gateway',
    `Cannot add "${asking}": no network of the sandbox has an address of the host`,
    {
      hint: 'networks of the drivers bridge, ptp and overlay have one',
    },
  );
}

/** The cached results of a sandbox's attachments. */
export function resultsOf(context: RuntimeContext, name: string): Json[] {
  const cache = new AttachmentCache(context.paths.cni);
  return new EndpointStore(context).of(name).flatMap(({ network, ifname }): Json[] => {
    const result = cache.tryGet(network, name, ifname)?.result;
    return result === undefined ? [] : [result];
  });
}

function wire(
  context: RuntimeContext,
  { name }: Sandbox,
  networks: readonly NetworkRequest[],
  ports: readonly PortMapping[],
): Connected[] {
  using target = new Target(idOf(name), openNetns(sandboxNetns(context, name)));
  return requestsOf(context, networks, ports).map(({ network, ...asked }) =>
    connectLocked(context, network, target, asked),
  );
}

function idOf(name: string): TargetId {
  return { kind: 'sandbox', containerId: name, name };
}

/** Ports are published on the first network that can; where none can, the first one reports the error. */
function requestsOf(
  context: RuntimeContext,
  networks: readonly NetworkRequest[],
  ports: readonly PortMapping[],
): (Asked & { readonly network: string })[] {
  const publisher = networks.findIndex(({ network }) => canPublish(context, network));
  return networks.map((request, i) => ({ ...request, ports: i === Math.max(0, publisher) ? ports : [] }));
}

function canPublish({ paths }: RuntimeContext, network: string): boolean {
  return findNetwork(paths.conf, network).list.plugins.some(({ capabilities }) =>
    capabilities.includes('portMappings'),
  );
}

function checkPorts(mode: Mode, ports: readonly PortMapping[]): void {
  if (ports.length === 0) return;
  const why =
    mode.kind === 'host'
      ? 'with "--network host" every port is the host\'s already'
      : mode.kind === 'container'
        ? 'ports are those of the container that it shares the network of'
        : mode.networks.length === 0
          ? 'without a network there is nothing to publish by'
          : undefined;
  if (why !== undefined) throw new NetloomError('exclusive-network', `Cannot publish ports: ${why}`);
}

function nameFor(context: RuntimeContext, asked: string | undefined): string {
  const name = asked ?? `sb-${randomBytes(3).toHex()}`;
  if (!isName(name) || name.length > 64) {
    throw new NetloomError(
      'invalid-name',
      `${JSON.stringify(name)} cannot be the name of a sandbox, expected a letter or digit, then letters, digits, "_", "." and "-", 64 at most`,
    );
  }
  if (tryFindSandbox(context, name) !== undefined)
    throw new NetloomError('sandbox-exists', `There is a sandbox "${name}" already`);
  const lost = tryFindLost(context, name);
  if (lost?.isPinned === true) {
    throw new NetloomError('sandbox-exists', `There is a sandbox "${name}" already: ${lost.why}`, {
      hint: `"netloom sandbox rm ${name}" removes what is left of it`,
    });
  }
  return name;
}
