/**
 * tap: a link whose other end is a program, such as a virtual machine in the container.
 * https://www.cni.dev/plugins/current/main/tap/
 */

import * as v from 'valibot';
import { allocation } from '../../attach/allocate.ts';
import { firstMac, macInArgs } from '../../attach/asked-mac.ts';
import { adoptLink, removeContainerLinks, temporaryName } from '../../attach/container-link.ts';
import { dnsOf } from '../../attach/dns.ts';
import {
  attach,
  collectAttachments,
  removeAttachment,
  verifyAttachment,
  verifyData,
} from '../../attach/link-attachment.ts';
import { type ContainerSide, openContainer, refuseTakenIfname } from '../../attach/namespace.ts';
import { ownerOf } from '../../attach/owner.ts';
import type { CniCall } from '../../cni/call.ts';
import { boolean, type ConfOf, confSchema, ifname, integer, object, text, uint32 } from '../../cni/config.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { hasCode, NetloomError } from '../../error.ts';
import { makeTap } from '../../ffi/tun.ts';
import { ipamStatus } from '../../ipam/delegate.ts';
import { withNetns } from '../../netns/within.ts';
import * as link from '../../rtnl/link.ts';
import { requireRoute } from '../../rtnl/socket.ts';
import { withLabel } from './label.ts';

const TYPE = 'tap';
/** The kernel's name for both TUN and TAP links. */
const KIND = 'tun';

const schema = confSchema(() => {
  const mac = v.exactOptional(text);
  return {
    mac,
    mtu: v.optional(integer(0, 65535), 0),
    selinuxContext: v.exactOptional(text),
    multiQueue: v.optional(boolean, false),
    owner: v.exactOptional(uint32),
    group: v.exactOptional(uint32),
    bridge: v.exactOptional(ifname),
    runtimeConfig: v.optional(object({ mac }), {}),
    args: v.optional(object({ cni: v.optional(object({ mac }), {}) }), {}),
  };
});

type TapConf = ConfOf<typeof schema>;

export const tap: Plugin<TapConf> = {
  type: TYPE,
  about: 'a link whose other end is a program in the container',
  schema,
  add,
  del: (call) => removeAttachment(call, KIND),
  check,
  gc: (call) => collectAttachments(call, TYPE, (stale) => removeContainerLinks(stale, KIND)),
  status(call) {
    checkConf(call.conf);
    requireRoute();
    if (call.conf.ipam !== undefined) ipamStatus(call);
  },
};

function add(call: CniCall<TapConf>): CniResult {
  const { conf } = call;
  checkConf(conf);
  const { runtimeConfig, args } = conf;
  const mac = firstMac(['runtimeConfig.mac', runtimeConfig.mac], ['args.cni.mac', args.cni.mac], macInArgs(call), [
    'mac',
    conf.mac,
  ]);
  using container = openContainer(call);
  using undo = new DisposableStack();
  refuseTakenIfname(container, call.ifname);
  const bridge = findBridge(container, conf.bridge);
  const asked = {
    ...(mac !== undefined && { address: mac }),
    ...(conf.mtu > 0 && { mtu: conf.mtu }),
    ...(bridge !== undefined && { master: bridge.index }),
  };
  const allocate = allocation(call, undo);
  const made = adoptLink(container, call, asked, undo, () => make(container, call));
  const ipam = allocate();
  const now = { ...made, mac: mac ?? made.mac, mtu: conf.mtu > 0 ? conf.mtu : made.mtu };
  const result = attach(container, call, now, ipam);
  undo.move(); // All of it stands: nothing to undo.
  return { ...result, ...dnsOf(conf, ipam) };
}

/** The least MTU of IPv4 is also that of the driver. */
function checkConf({ mtu }: TapConf): void {
  if (mtu === 0 || mtu >= 68) return;
  throw new NetloomError('invalid-config', `failed to load netconf: "mtu" is ${mtu}, expected 0 or at least 68`);
}

/** The bridge is in the container, like the link. */
function findBridge(container: ContainerSide, name: string | undefined): link.Link | undefined {
  if (name === undefined) return undefined;
  const found = link.find(container.nl, { name });
  if (found === undefined) {
    throw new NetloomError('no-link', `Cannot find the bridge "${name}" in the container: there is no such interface`);
  }
  if (found.kind === 'bridge') return found;
  throw new NetloomError('not-a-bridge', `"${name}" in the container is not a bridge`);
}

function make(container: ContainerSide, call: CniCall<TapConf>): void {
  const { multiQueue, owner, group, selinuxContext } = call.conf;
  const options = { multiQueue, ...(owner !== undefined && { owner }), ...(group !== undefined && { group }) };
  const cannot = `Cannot create the tap link "${call.ifname}"`;
  const name = temporaryName(ownerOf(call));
  try {
    const isMade = withNetns(container.netns, () => withLabel(selinuxContext, () => makeTap(name, options)));
    if (isMade) return;
  } catch (cause) {
    if (!hasCode(cause, 'ENOENT', 'ENODEV', 'ENXIO')) throw cause;
    throw new NetloomError('unsupported', `${cannot}: this kernel has no tun, it needs CONFIG_TUN`, { cause });
  }
  throw new NetloomError('duplicate-attachment', `${cannot}: an ADD of it is under way, or was cut short`, {
    hint: 'call DEL first',
  });
}

/** @throws NetloomError check-failed, with every difference */
function check(call: CniCall<TapConf>): void {
  const { conf } = call;
  checkConf(conf);
  const expected = {
    mode: 'tap',
    multi_queue: conf.multiQueue,
    ...(conf.owner !== undefined && { user: conf.owner }),
    ...(conf.group !== undefined && { group: conf.group }),
  };
  verifyAttachment(call, KIND, (found, differences) => verifyData(found, TYPE, expected, differences));
}
