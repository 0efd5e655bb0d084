/** VLANs of bridge ports. man 8 bridge; bridge_vlan_info and IFLA_BRIDGE_* of linux/if_bridge.h. */
import { type Attrs, type AttrTable, forEachAttr, malformed, writeAttr } from '../netlink/attribute.ts';
import { type Codec, u16 } from '../netlink/codec.ts';
import { type MessageKind, type Request, request } from '../netlink/message.ts';
import { AF, RTM } from './constants.ts';
import { ifinfomsg } from './link-attributes.ts';

const FLAG = { PVID: 2, UNTAGGED: 4, RANGE_BEGIN: 8, RANGE_END: 16 } as const;
const IFLA_BRIDGE_FLAGS = 0;
const IFLA_BRIDGE_VLAN_INFO = 2;
/** The bridge itself rather than a port of it. */
const BRIDGE_FLAGS_SELF = 2;

/** One VLAN, or all from `first` to `last`. */
export interface VlanRange {
  readonly first: number;
  readonly last: number;
  /** Frames without a tag belong to it. */
  readonly pvid?: boolean;
  /** Frames leave without a tag. */
  readonly untagged?: boolean;
}

interface BridgeSpec {
  readonly self: boolean;
  readonly vlans: readonly VlanRange[];
}

/**
 * The VLAN part of IFLA_AF_SPEC: u16 flags, then `struct bridge_vlan_info { u16 flags, u16 vid }` once for a VLAN,
 * twice for a range.
 */
const bridgeSpec: Codec<BridgeSpec> = {
  name: 'bridgeSpec',
  isNested: true,
  write(out, { self, vlans }) {
    if (self) writeAttr(out, IFLA_BRIDGE_FLAGS, u16, BRIDGE_FLAGS_SELF);
    for (const { first, last, pvid, untagged } of vlans) {
      const flags = (pvid === true ? FLAG.PVID : 0) | (untagged === true ? FLAG.UNTAGGED : 0);
      if (first === last) {
        writeAttr(out, IFLA_BRIDGE_VLAN_INFO, vlanInfo, { flags, vid: first });
      } else {
        writeAttr(out, IFLA_BRIDGE_VLAN_INFO, vlanInfo, { flags: flags | FLAG.RANGE_BEGIN, vid: first });
        writeAttr(out, IFLA_BRIDGE_VLAN_INFO, vlanInfo, { flags: flags | FLAG.RANGE_END, vid: last });
      }
    }
  },
  read(view) {
    const spec = { self: false, vlans: [] as VlanRange[] };
    let begin: number | undefined;
    forEachAttr(view, (type, payload) => {
      if (type === IFLA_BRIDGE_FLAGS && payload.byteLength === 2) spec.self = u16.read(payload) === BRIDGE_FLAGS_SELF;
      if (type !== IFLA_BRIDGE_VLAN_INFO) return;
      if (payload.byteLength !== vlanInfo.size) throw malformed(`a VLAN of ${payload.byteLength} bytes, expected 4`);
      const { flags, vid } = vlanInfo.read(payload);
      if ((flags & FLAG.RANGE_BEGIN) !== 0) {
        begin = vid;
        return;
      }
      spec.vlans.push({
        first: (flags & FLAG.RANGE_END) !== 0 ? (begin ?? vid) : vid,
        last: vid,
        ...((flags & FLAG.PVID) !== 0 && { pvid: true }),
        ...((flags & FLAG.UNTAGGED) !== 0 && { untagged: true }),
      });
    });
    return spec;
  },
};

const vlanInfo: Codec<{ readonly flags: number; readonly vid: number }> = {
  name: 'bridge_vlan_info',
  size: 4,
  write(out, { flags, vid }) {
    out.u16(flags);
    out.u16(vid);
  },
  read: (view) => ({ flags: view.getUint16(0, true), vid: view.getUint16(2, true) }),
};

export const bridgeVlanKind = {
  name: 'bridge vlan',
  header: ifinfomsg,
  attrs: { afSpec: [26, bridgeSpec] } satisfies AttrTable,
} as const satisfies MessageKind;

/**
 * Adds VLANs to a port, or with `self` to the bridge itself.
 * Equivalent to: `bridge vlan add dev LINK vid 100 pvid untagged`
 */
export function add(link: number, vlans: readonly VlanRange[], { self = false } = {}): Request {
  return vlanRequest(RTM.SETLINK, 'add', link, { self, vlans });
}

/** Removes VLANs. Equivalent to: `bridge vlan del dev LINK vid 1` */
export function remove(link: number, vlans: readonly VlanRange[], { self = false } = {}): Request {
  return vlanRequest(RTM.DELLINK, 'del', link, { self, vlans });
}

function vlanRequest(type: number, verb: string, link: number, spec: BridgeSpec): Request {
  const attrs: Attrs<typeof bridgeVlanKind.attrs> = { afSpec: spec };
  const ids = spec.vlans.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(', ');
  return request(bridgeVlanKind, type, 0, { family: AF.BRIDGE, index: link }, attrs, {
    action: () => `${verb === 'add' ? 'add VLANs' : 'remove VLANs'} ${ids} of link ${link}`,
    command: () =>
      spec.vlans
        .map(({ first, last, pvid, untagged }) => {
          const range = first === last ? first : `${first}-${last}`;
          const flags = `${pvid === true ? ' pvid' : ''}${untagged === true ? ' untagged' : ''}${spec.self ? ' self' : ''}`;
          return `bridge vlan ${verb} dev if${link} vid ${range}${flags}`;
        })
        .join(' && '),
  });
}
