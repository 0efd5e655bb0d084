/**
 * What nft keeps in an object's userdata, which the kernel stores and does not read. It is a sequence of entries: u8
 * type, u8 length, payload. libnftnl, include/libnftnl/udata.h and src/udata.c. We write it the same way, so that `nft
 * list` shows our comments.
 */
import { NetloomError } from '../error.ts';
import type { Attrs, AttrTable } from '../netlink/attribute.ts';
import { type Codec, str, u32 } from '../netlink/codec.ts';
import { Writer } from '../netlink/writer.ts';

/** Longest comment in bytes: the length of a payload is one byte, and the text ends with a NUL. */
export const COMMENT_MAX = 254;

/** NFTNL_UDATA_TABLE_*, _CHAIN_*, _RULE_* and _SET_ELEM_*: the comment is entry 0 in all four. */
export const commentData = {
  comment: [0, str],
} as const satisfies AttrTable;

/** NFTNL_UDATA_SET_*. */
export const setData = {
  keyOrder: [0, u32], // NFTNL_UDATA_SET_KEYBYTEORDER
  dataOrder: [1, u32], // NFTNL_UDATA_SET_DATABYTEORDER
  merge: [2, u32], // NFTNL_UDATA_SET_MERGE_ELEMENTS
  dataInterval: [6, u32], // NFTNL_UDATA_SET_DATA_INTERVAL
  comment: [7, str], // NFTNL_UDATA_SET_COMMENT
} as const satisfies AttrTable;

/** Userdata with a table of its entries. Entries not in the table are skipped: other versions of nft write more. */
export function userdata<T extends AttrTable>(table: T): Codec<Attrs<T>> {
  return {
    name: 'userdata',
    write(out, values) {
      for (const name in values) {
        const entry = table[name];
        const value: unknown = values[name];
        if (entry === undefined || value === undefined) continue;
        const payload = new Writer(64);
        entry[1].write(payload, value);
        if (payload.length > COMMENT_MAX + 1) {
          throw new NetloomError('too-long', `Cannot write a ${name} of ${payload.length - 1} bytes, at most 254 fit`);
        }
        out.u8(entry[0]);
        out.u8(payload.length);
        out.raw(payload.bytes);
      }
    },
    read(view) {
      const values: Record<string, unknown> = {};
      for (let at = 0; at + 2 <= view.byteLength; ) {
        const length = Math.min(view.getUint8(at + 1), view.byteLength - at - 2);
        for (const name in table) {
          const entry = table[name];
          if (entry?.[0] !== view.getUint8(at)) continue;
          const isWhole = entry[1].size === undefined || entry[1].size === length;
          if (isWhole) values[name] = entry[1].read(new DataView(view.buffer, view.byteOffset + at + 2, length));
        }
        at += 2 + length;
      }
      return values as Attrs<T>;
    },
  };
}
