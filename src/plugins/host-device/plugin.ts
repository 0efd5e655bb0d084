/**
 * host-device: an interface of the host, moved into the container and back.
 * https://www.cni.dev/plugins/current/main/host-device/
 */

import { allocate } from '../../attach/allocate.ts';
import { dnsOf } from '../../attach/dns.ts';
import { gather } from '../../attach/gather.ts';
import { attach, collectAttachments, verifyAttachment } from '../../attach/link-attachment.ts';
import { type ContainerSide, openContainer, refuseTakenIfname, tryOpenContainer } from '../../attach/namespace.ts';
import { ownerOf, validOwners } from '../../attach/owner.ts';
import { findRecord, keyOf, putRecord } from '../../attach/record.ts';
import { removeAndRelease } from '../../attach/release.ts';
import type { CniCall } from '../../cni/call.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { ipamCheck, ipamStatus } from '../../ipam/delegate.ts';
import { ifnameFault } from '../../net/ifname.ts';
import { ownNetns } from '../../netns/namespace.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute, requireRoute } from '../../rtnl/socket.ts';
import { busIdOf, checkConf, type HostDeviceConf, schema } from './conf.ts';
import { findDevice, isForPrograms } from './device.ts';
import { giveBack, isOwner, isStale, markOf, moveIn, moveOut, rename } from './move.ts';

const TYPE = 'host-device';

export const hostDevice: Plugin<HostDeviceConf> = {
  type: TYPE,
  about: 'an interface of the host, moved into the container and back',
  schema,
  add,
  del,
  check(call) {
    checkConf(call.conf);
    if (!isForPrograms(call.conf)) verifyAttachment(call, undefined, () => {});
    else if (call.conf.ipam !== undefined) ipamCheck(call);
  },
  gc,
  // NB: does not look for the device. If a container has it, the network is still in order.
  status({ conf, ...call }) {
    checkConf(conf);
    requireRoute();
    if (conf.ipam !== undefined) ipamStatus({ conf, ...call });
  },
};

function add(call: CniCall<HostDeviceConf>): CniResult {
  const { conf, ifname } = call;
  checkConf(conf);
  using container = openContainer(call);
  using nl = openRoute();
  using undo = new DisposableStack();
  refuseTakenIfname(container, ifname);
  if (isForPrograms(conf)) {
    const described = describe(call, allocate(call, undo));
    undo.move();
    return described;
  }
  const device = findDevice(nl, conf);
  const owner = ownerOf(call);
  const ipam = allocate(call, undo);
  // NB: before the message is sent. If its answer is lost, the device may be on either side.
  undo.defer(() => rename(nl, isOwner(owner)));
  undo.defer(() => bringHome(call));
  remember(call, container, device);
  moveIn(nl, device, owner, container.netns, ifname);
  const there = moved(container, ifname);
  remember(call, container, device, there.index);
  const { interfaces: [inContainer] = [], ...rest } = attach(container, call, there, ipam);
  announce(container, ifname, device);
  const pciID = busIdOf(conf);
  undo.move(); // All of it stands: nothing to undo.
  return {
    interfaces: inContainer === undefined ? [] : [{ ...inContainer, ...(pciID !== '' && { pciID }) }],
    ...rest,
    ...dnsOf(conf, ipam),
  };
}

/**
 * The result for a device for programs: nothing is moved. The program in the container gets the addresses and the
 * device from the result, through the runtime.
 */
function describe({ conf, ifname, netns }: CniCall<HostDeviceConf>, ipam: CniResult): CniResult {
  return {
    interfaces: [{ name: ifname, sandbox: netns, pciID: busIdOf(conf) }],
    ips: (ipam.ips ?? []).map((ip) => ({ ...ip, interface: 0 })),
    routes: ipam.routes ?? [],
    ...dnsOf(conf, ipam),
  };
}

/** NB: called before the device moves, and again afterwards: only then its index is known. */
function remember(
  call: CniCall<HostDeviceConf>,
  { netns: { id } }: ContainerSide,
  { name, alias = '', kind }: link.Link,
  index?: number,
): void {
  const device = { name, alias, ...(kind !== undefined && { kind }), ...(index !== undefined && { index }) };
  putRecord(call.paths, { ...keyOf(call, TYPE), netns: call.netns, id, device });
}

/** NB: its index may be another one in the container, if the old one was taken there. */
function moved(container: ContainerSide, ifname: string): link.Link {
  return link.get(container.nl, { name: ifname });
}

/**
 * Like attach/announce.ts, if the driver can do it: much hardware takes no MAC while it is up, and has announced itself
 * when it was set up.
 */
function announce(container: ContainerSide, name: string, { mac }: link.Link): void {
  if (mac !== undefined) container.nl.attempt([link.set({ name }, { address: mac })]);
}

function del(call: CniCall<HostDeviceConf>): void {
  const owner = ownerOf(call);
  gather(
    () => removeAndRelease(call, () => bringHome(call)),
    () => {
      // Hardware comes back by itself when its namespace dies. Or an ADD marked it and was killed before it moved. It
      // has no addresses here.
      using nl = openRoute();
      rename(nl, isOwner(owner));
    },
  );
}

/** Moves the device out of the container, if that still exists. */
function bringHome(call: CniCall<HostDeviceConf>): void {
  using container = tryOpenContainer(call);
  if (container === undefined) return;
  using home = ownNetns();
  const record = findRecord(call, keyOf(call, TYPE));
  const was = record?.id === container.netns.id ? record.device : undefined;
  gather(
    () => moveOut(container.nl, ownerOf(call), call.ifname, home, was),
    () => {
      const theirs = movedByReference(call, container);
      if (theirs !== undefined) giveBack(container.nl, theirs, { name: theirs.alias ?? '', alias: '' }, home);
    },
  );
}

/**
 * A device that the reference plugin moved. Its alias is just its old name, and its MAC must be the one in prevResult.
 */
function movedByReference({ conf, ifname }: CniCall, { nl }: ContainerSide): link.Link | undefined {
  const expected = conf.prevResult?.interfaces?.find(({ name, sandbox }) => name === ifname && sandbox !== undefined);
  if (expected?.mac === undefined) return undefined;
  const found = link.find(nl, { name: ifname });
  if (found?.alias === undefined || found.mac !== expected.mac.toLowerCase()) return undefined;
  return markOf(found.alias) === undefined && ifnameFault(found.alias) === undefined ? found : undefined;
}

function gc(call: CniCall<HostDeviceConf>): void {
  gather(
    () => {
      using nl = openRoute();
      rename(nl, isStale(call.conf.name, validOwners(call)));
    },
    () => collectAttachments(call, TYPE, bringHome),
  );
}
