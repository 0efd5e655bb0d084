/**
 * IFLA_LINKINFO: what a link is (kind and data) and what it is to its master (slave kind and data). linux/if_link.h.
 */
import {
  type Attrs,
  type AttrTable,
  attrNameAt,
  forEachAttr,
  lazily,
  nest,
  type OtherAttr,
  readAttrs,
  writeAttr,
} from '../netlink/attribute.ts';
import { bytes, bytesOf, type Codec, str } from '../netlink/codec.ts';
import { bridge, bridgePort } from './kinds/bridge.ts';
import { ipvlan } from './kinds/ipvlan.ts';
import { macvlan } from './kinds/macvlan.ts';
import { tun } from './kinds/tun.ts';
import { veth } from './kinds/veth.ts';
import { vlan } from './kinds/vlan.ts';
import { vrf } from './kinds/vrf.ts';
import { vxlan } from './kinds/vxlan.ts';

const INFO = { KIND: 1, DATA: 2, SLAVE_KIND: 4, SLAVE_DATA: 5 } as const;
const KNOWN: ReadonlySet<number> = new Set(Object.values(INFO));

/** One table per kind. The data of a kind without a table is in `other`. */
export const kinds = { bridge, ipvlan, macvlan, tun, veth, vlan, vrf, vxlan } as const satisfies Readonly<
  Record<string, AttrTable>
>;

const slaveKinds = { bridge: bridgePort } as const satisfies Readonly<Record<string, AttrTable>>;

type Kinds = typeof kinds;

export type KindName = keyof Kinds;

type KindInfo = { readonly [K in KindName]: { readonly kind: K; readonly data?: Attrs<Kinds[K]> } }[KindName];

type OtherInfo = { readonly kind?: string & {}; readonly data?: Attrs<Record<never, never>> };

export type LinkInfo = (KindInfo | OtherInfo) & {
  readonly slaveKind?: string;
  readonly slaveData?: Attrs<typeof bridgePort>;
  readonly other?: readonly OtherAttr[];
};

export const linkInfo: Codec<LinkInfo> = {
  name: 'linkinfo',
  isNested: true,
  write(out, info) {
    if (info.kind !== undefined) writeAttr(out, INFO.KIND, str, info.kind);
    if (info.data !== undefined) writeAttr(out, INFO.DATA, nest(tableOf(kinds, info.kind)), info.data);
    if (info.slaveKind !== undefined) writeAttr(out, INFO.SLAVE_KIND, str, info.slaveKind);
    if (info.slaveData !== undefined)
      writeAttr(out, INFO.SLAVE_DATA, nest(tableOf(slaveKinds, info.slaveKind)), info.slaveData);
    for (const { type, payload } of info.other ?? []) writeAttr(out, type, bytes, payload);
  },
  read(view) {
    const parts = new Map<number, DataView>();
    const other: OtherAttr[] = [];
    forEachAttr(view, (type, payload) => {
      if (KNOWN.has(type)) parts.set(type, payload);
      else other.push({ type, payload: bytesOf(payload).slice() });
    });
    const text = (type: number) => {
      const part = parts.get(type);
      return part && str.read(part);
    };
    const kind = text(INFO.KIND);
    const slaveKind = text(INFO.SLAVE_KIND);
    const data = parts.get(INFO.DATA);
    const slaveData = parts.get(INFO.SLAVE_DATA);
    const info = {
      ...(kind !== undefined && { kind }),
      ...(slaveKind !== undefined && { slaveKind }),
      ...(other.length > 0 && { other }),
    };
    if (data !== undefined) lazily(info, 'data', () => readAttrs(tableOf(kinds, kind), data));
    if (slaveData !== undefined) lazily(info, 'slaveData', () => readAttrs(tableOf(slaveKinds, slaveKind), slaveData));
    return info as LinkInfo;
  },
  nameAt(view, offset) {
    const { kind, slaveKind } = linkInfo.read(view);
    const table = {
      kind: [INFO.KIND, str],
      data: [INFO.DATA, nest(tableOf(kinds, kind))],
      slaveKind: [INFO.SLAVE_KIND, str],
      slaveData: [INFO.SLAVE_DATA, nest(tableOf(slaveKinds, slaveKind))],
    } as const satisfies AttrTable;
    return attrNameAt(table, view, offset);
  },
};

function tableOf(tables: Readonly<Record<string, AttrTable>>, kind: string | undefined): AttrTable {
  return (kind !== undefined && Object.hasOwn(tables, kind) && tables[kind]) || NO_TABLE;
}

/** NB: a single object, since attribute.ts caches the names of a table by its identity. */
const NO_TABLE: AttrTable = {};
