/** Marks of packets and of connections. nft(8), "META STATEMENT" and "CONNTRACK STATEMENT". */
import { mark } from '../datatype.ts';
import { maskXor } from '../expressions/bitwise.ts';
import { loadCt, setCt } from '../expressions/ct.ts';
import { registerAt } from '../expressions/expression.ts';
import { loadValue } from '../expressions/immediate.ts';
import { loadMeta, setMeta } from '../expressions/meta.ts';
import type { Statement } from '../statement.ts';

const REGISTER = registerAt(0);

/** What has a mark: the packet, or its connection. */
export type Marked = 'meta' | 'ct';

/** `meta mark set 0x00000003`. */
export function setMark(of: Marked, value: number): Statement {
  return {
    text: `${of} mark set ${mark.text(value)}`,
    needs: [],
    expressions: [loadValue(mark.encode(value), REGISTER), store(of)],
  };
}

/** `meta mark set meta mark | 0x00002000`: sets bits and leaves the others. */
export function setBits(of: Marked, bits: number): Statement {
  return {
    text: `${of} mark set ${of} mark | ${mark.text(bits)}`,
    needs: [],
    expressions: [load(of), maskXor(REGISTER, mark.encode(~bits >>> 0), mark.encode(bits)), store(of)],
  };
}

/** `meta mark set meta mark & 0xffffdfff`: keeps these bits. */
export function keepBits(of: Marked, bits: number): Statement {
  return {
    text: `${of} mark set ${of} mark & ${mark.text(bits)}`,
    needs: [],
    expressions: [load(of), maskXor(REGISTER, mark.encode(bits)), store(of)],
  };
}

/** `ct mark set meta mark`. */
export function copyMark(to: Marked, from: Marked): Statement {
  return { text: `${to} mark set ${from} mark`, needs: [], expressions: [load(from), store(to)] };
}

function load(of: Marked) {
  return of === 'meta' ? loadMeta('mark', REGISTER) : loadCt('mark', REGISTER);
}

function store(of: Marked) {
  return of === 'meta' ? setMeta('mark', REGISTER) : setCt('mark', REGISTER);
}
