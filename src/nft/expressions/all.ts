/** The attribute tables of all expressions by the kernel's names, for reading rules back. */
import type { AttrTable } from '../../netlink/attribute.ts';
import { bitwise } from './bitwise.ts';
import { byteorder } from './byteorder.ts';
import { cmp } from './cmp.ts';
import { counter } from './counter.ts';
import { ct } from './ct.ts';
import { fib } from './fib.ts';
import { hash } from './hash.ts';
import { immediate } from './immediate.ts';
import { limit } from './limit.ts';
import { log } from './log.ts';
import { lookup } from './lookup.ts';
import { masq } from './masq.ts';
import { match } from './match.ts';
import { meta } from './meta.ts';
import { nat } from './nat.ts';
import { notrack } from './notrack.ts';
import { numgen } from './numgen.ts';
import { payload } from './payload.ts';
import { range } from './range.ts';
import { redir } from './redir.ts';
import { reject } from './reject.ts';

export const expressionTables = {
  bitwise,
  byteorder,
  cmp,
  counter,
  ct,
  fib,
  hash,
  immediate,
  limit,
  log,
  lookup,
  masq,
  match,
  meta,
  nat,
  notrack,
  numgen,
  payload,
  range,
  redir,
  reject,
} as const satisfies Readonly<Record<string, AttrTable>>;
