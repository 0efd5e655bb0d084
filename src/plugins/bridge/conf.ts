/**
 * The keys of the bridge plugin. Names and defaults are the reference's.
 * https://www.cni.dev/plugins/current/main/bridge/
 */
import * as v from 'valibot';
import { firstMac, macInArgs } from '../../attach/asked-mac.ts';
import type { CniCall } from '../../cni/call.ts';
import { boolean, type ConfOf, confSchema, ifname, integer, object, text } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';
import type { Mac } from '../../net/mac.ts';
import type { VlanRange } from '../../rtnl/bridge-vlan.ts';

const off = v.optional(boolean, false);
const mac = v.exactOptional(text);
const vlanId = v.exactOptional(integer(1, 4094));

export const schema = confSchema(() => ({
  bridge: v.optional(ifname, 'cni0'),
  isGateway: off,
  isDefaultGateway: off,
  forceAddress: off,
  ipMasq: off,
  // Every back end is served by our nftables table.
  ipMasqBackend: v.exactOptional(text),
  mtu: v.optional(integer(0, 65535), 0),
  hairpinMode: off,
  promiscMode: off,
  vlan: v.optional(v.number(), 0),
  vlanTrunk: v.optional(v.array(object({ id: vlanId, minID: vlanId, maxID: vlanId })), []),
  preserveDefaultVlan: v.optional(boolean, true),
  macspoofchk: off,
  enabledad: off,
  disableContainerInterface: off,
  portIsolation: off,
  runtimeConfig: v.optional(object({ mac }), {}),
  args: v.optional(object({ cni: v.optional(object({ mac }), {}) }), {}),
}));

export type BridgeConf = ConfOf<typeof schema>;

/** Refuses keys that exclude each other. Before any change. @throws NetloomError invalid-config */
export function checkConf(conf: BridgeConf): void {
  const refuse = (what: string): never => {
    throw new NetloomError('invalid-config', `failed to load netconf: ${what}`);
  };
  if (conf.hairpinMode && conf.promiscMode) refuse('cannot set hairpin mode and promiscuous mode at the same time');
  if (!Number.isInteger(conf.vlan) || conf.vlan < 0 || conf.vlan > 4094) {
    refuse(`invalid VLAN ID ${conf.vlan} (must be between 0 and 4094)`);
  }
  if (conf.vlan > 0 && conf.vlanTrunk.length > 0) refuse('cannot set vlan and vlanTrunk at the same time');
  if (conf.disableContainerInterface && conf.ipam !== undefined) {
    refuse('cannot use IPAM when "disableContainerInterface" is true');
  }
  if (conf.mtu > 0 && conf.mtu < 68) refuse(`"mtu" is ${conf.mtu}, expected 0 or at least 68`);
  for (const { minID, maxID } of conf.vlanTrunk) {
    if (minID === undefined && maxID !== undefined)
      refuse('"vlanTrunk": minID and maxID should be configured simultaneously, minID is missing');
    if (minID !== undefined && maxID === undefined)
      refuse('"vlanTrunk": minID and maxID should be configured simultaneously, maxID is missing');
    if (minID !== undefined && maxID !== undefined && minID > maxID) {
      refuse(`"vlanTrunk": minID ${minID} is greater than maxID ${maxID} in trunk parameter`);
    }
  }
}

/** Whether frames of several VLANs pass the bridge. */
export function filtersVlans(conf: BridgeConf): boolean {
  return conf.vlan > 0 || conf.vlanTrunk.length > 0;
}

/** The interface of the network's VLAN on top of the bridge, where that VLAN's gateway address is. */
export function vlanInterfaceName({ bridge, vlan }: Pick<BridgeConf, 'bridge' | 'vlan'>): string {
  return `${bridge}.${vlan}`;
}

/** The VLANs that a port carries: one without a tag, or a trunk with tags. */
export function vlansOf(conf: BridgeConf): VlanRange[] {
  if (conf.vlan > 0) return [{ first: conf.vlan, last: conf.vlan, pvid: true, untagged: true }];
  return conf.vlanTrunk.flatMap(({ id, minID, maxID }) => [
    ...(minID !== undefined && maxID !== undefined ? [{ first: minID, last: maxID }] : []),
    ...(id !== undefined ? [{ first: id, last: id }] : []),
  ]);
}

/**
 * The MAC that the runtime asks for: runtimeConfig before args before CNI_ARGS.
 * @throws NetloomError invalid-mac, invalid-args
 */
export function askedMac(call: CniCall<BridgeConf>): Mac | undefined {
  const { runtimeConfig, args } = call.conf;
  return firstMac(['runtimeConfig.mac', runtimeConfig.mac], ['args.cni.mac', args.cni.mac], macInArgs(call));
}
