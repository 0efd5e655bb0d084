/** A pair of links that are the two ends of one wire. linux/veth.h; drivers/net/veth.c. */
import { type Attrs, type AttrTable, attrNameAt, readAttrs, writeAttrs } from '../../netlink/attribute.ts';
import type { Codec } from '../../netlink/codec.ts';
import { viewFrom } from '../../netlink/message.ts';
import type { StructOf } from '../../netlink/struct.ts';
import { baseAttrs, ifinfomsg } from '../link-attributes.ts';

/** The other end: a whole link message within the attribute. NB: never with IFF_UP, veth_open() fails with ENOTCONN. */
export interface VethPeer {
  readonly header?: StructOf<typeof ifinfomsg.fields>;
  readonly attrs: Attrs<typeof baseAttrs>;
}

const peer: Codec<VethPeer> = {
  name: 'peer',
  isNested: true,
  write(out, value) {
    ifinfomsg.write(out, value.header ?? {});
    writeAttrs(out, baseAttrs, value.attrs);
  },
  read(view) {
    const header = ifinfomsg.read(view);
    return { header, attrs: readAttrs(baseAttrs, viewFrom(view, ifinfomsg.size)) };
  },
  nameAt: (view, offset) => attrNameAt(baseAttrs, viewFrom(view, ifinfomsg.size), offset - ifinfomsg.size),
};

export const veth = {
  peer: [1, peer], // VETH_INFO_PEER
} as const satisfies AttrTable;
