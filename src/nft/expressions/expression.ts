/** An expression of a rule: its name and its attributes. NFTA_EXPR_* of linux/netfilter/nf_tables.h. */
import { type Attrs, type AttrTable, forEachAttr, readAttrs, writeAttr, writeAttrs } from '../../netlink/attribute.ts';
import { bytes, type Codec, str } from '../../netlink/codec.ts';

const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;

export interface Expression {
  readonly name: string;
  readonly table: AttrTable;
  readonly attrs: Attrs<AttrTable>;
}

/**
 * Registers 1 to 4 have 16 bytes. Registers 8 to 23 have four bytes and share the same memory. Register 0 holds the
 * verdict.
 */
export const VERDICT_REGISTER = 0;

/**
 * The register at an offset in bytes from the first one. At a multiple of 16 bytes it is the number of the 16-byte
 * register, as in nft; elsewhere that of a four-byte register.
 */
export function registerAt(offset: number): number {
  return offset % 16 === 0 ? 1 + offset / 16 : 8 + offset / 4;
}

export function expression<T extends AttrTable>(name: string, table: T, attrs: Attrs<T>): Expression {
  return { name, table, attrs: attrs as Attrs<AttrTable> };
}

/**
 * One element of a rule's list of expressions.
 * @param tables the attribute tables of the expressions that are decoded; the attributes of all others are kept raw
 */
export function expressionCodec(tables: Readonly<Record<string, AttrTable>>): Codec<Expression> {
  return {
    name: 'expression',
    isNested: true,
    write(out, { name, table, attrs }) {
      writeAttr(out, NFTA_EXPR_NAME, str, name);
      const data: Codec<null> = {
        name: bytes.name,
        isNested: true,
        write: (body) => writeAttrs(body, table, attrs),
        read: () => null,
      };
      writeAttr(out, NFTA_EXPR_DATA, data, null);
    },
    read(view) {
      let name = '';
      let data: DataView = new DataView(new ArrayBuffer(0));
      forEachAttr(view, (type, payload) => {
        if (type === NFTA_EXPR_NAME) name = str.read(payload);
        if (type === NFTA_EXPR_DATA) data = payload;
      });
      const table = tables[name] ?? {};
      return { name, table, attrs: readAttrs(table, data) };
    },
  };
}
