/** notrack: keeps a packet out of connection tracking. It has no attributes. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { type Expression, expression } from './expression.ts';

export const notrack = {} as const satisfies AttrTable;

export function doNotTrack(): Expression {
  return expression('notrack', notrack, {});
}
