/**
 * Policy routing rules: the table that a packet's route is looked up in. man 8 ip-rule; fib_rule_hdr and FRA_* of
 * linux/fib_rules.h.
 */

import { Cidr } from '../net/cidr.ts';
import { type Family, Ip } from '../net/ip.ts';
import type { AttrTable } from '../netlink/attribute.ts';
import { ip, str, u8, u32 } from '../netlink/codec.ts';
import { type Message, type MessageKind, NLM_F, type Request, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { struct } from '../netlink/struct.ts';
import { AF, RTM } from './constants.ts';
import { familyNumber, familyOf, ipCommand } from './family.ts';
import { word } from './words.ts';

export const ruleKind = {
  name: 'rule',
  header: struct({
    family: u8,
    dstLength: u8,
    srcLength: u8,
    tos: u8,
    table: u8,
    reserved: u8,
    reserved2: u8,
    action: u8,
    flags: u32,
  }),
  attrs: {
    dst: [1, ip],
    src: [2, ip],
    iif: [3, str],
    priority: [6, u32],
    mark: [10, u32],
    table: [15, u32],
    mask: [16, u32],
    oif: [17, str],
    /** Who added it, as with routes. Kernels before 4.17 ignore it. */
    protocol: [21, u8],
  } satisfies AttrTable,
} as const satisfies MessageKind;

/** FR_ACT_TO_TBL: look it up in the table. */
const TO_TABLE = 1;

export interface RuleSpec {
  /** The source prefix; with a length of 0, any source of this family. */
  readonly src: Cidr;
  readonly table: number;
  /** Lower ones are evaluated first. Without one, the rule goes before all others but that of the local table. */
  readonly priority?: number;
  /** Who added it: RTPROT_*. */
  readonly protocol?: number;
}

/** `isPlain`: nothing but `src` selects the packets. Other selectors (marks, interfaces) are not listed here. */
export interface Rule extends RuleSpec {
  readonly family: Family;
  readonly priority: number;
  readonly protocol: number;
  readonly isPlain: boolean;
}

/**
 * Adds a rule.
 * Equivalent to: `ip rule add from 10.1.0.2 table 100`
 * @throws NetlinkError EEXIST when the same rule with that priority exists; without a priority there may be several
 */
export function add(rule: RuleSpec): Request {
  return ruleRequest(RTM.NEWRULE, NLM_F.CREATE | NLM_F.EXCL, 'add', rule);
}

/** Removes a rule. Equivalent to: `ip rule del …` @throws NetlinkError ENOENT when there is none */
export function remove(rule: RuleSpec): Request {
  return ruleRequest(RTM.DELRULE, 0, 'del', rule);
}

/** The rules that lead to a table, of both families. Equivalent to: `ip rule show` */
export function list(nl: NetlinkSocket): Rule[] {
  const all = request(
    ruleKind,
    RTM.GETRULE,
    0,
    { family: AF.UNSPEC },
    {},
    {
      action: () => 'list the rules',
      command: () => 'ip rule show',
    },
  );
  return nl
    .dump(all)
    .filter(({ header: { action } }) => action === TO_TABLE)
    .flatMap(rulesOf);
}

function ruleRequest(type: number, flags: number, verb: string, { src, table, priority, protocol }: RuleSpec): Request {
  const words = [
    src.prefix === 0 ? 'from all' : `from ${src}`,
    `table ${table}`,
    ...word('priority', priority),
    ...word('protocol', protocol),
  ].join(' ');
  return request(
    ruleKind,
    type,
    flags,
    { family: familyNumber(src.family), srcLength: src.prefix, table: table < 256 ? table : 0, action: TO_TABLE },
    {
      ...(src.prefix > 0 && { src: src.first() }),
      ...(table >= 256 && { table }),
      ...(priority !== undefined && { priority }),
      ...(protocol !== undefined && { protocol }),
    },
    {
      action: () => `${verb === 'del' ? 'remove' : 'add'} the rule ${words}`,
      command: () => `${ipCommand(src.family)} rule ${verb} ${words}`,
    },
  );
}

/** Skips rules of other families, such as that of multicast routes. */
function rulesOf({ header, attrs }: Message<typeof ruleKind>): Rule[] {
  const family = familyOf(header.family);
  if (family === undefined) return [];
  const { dst, iif, oif, mark, mask } = attrs;
  const rule = {
    family,
    src: new Cidr(attrs.src ?? Ip.unspecified(family), header.srcLength),
    table: attrs.table ?? header.table,
    priority: attrs.priority ?? 0,
    protocol: attrs.protocol ?? 0,
    isPlain: [dst, iif, oif, mark, mask].every((each) => each === undefined) && header.tos === 0,
  };
  return [rule];
}
