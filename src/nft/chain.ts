/** Chains: NFT_MSG_*CHAIN with NFTA_CHAIN_*. linux/netfilter/nf_tables.h, nft(8) "CHAINS". */
import { ERRNO } from '../ffi/errno.ts';
import { type AttrTable, nest } from '../netlink/attribute.ts';
import { be32, be64, type Codec, str } from '../netlink/codec.ts';
import { type Message, type MessageKind, NLM_F, type Request, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { NFPROTO, NFT_MSG, nfgenmsg } from './message.ts';
import { type Table, tableText } from './table.ts';
import { nftCommand, quoted } from './text.ts';
import { commentData, userdata } from './userdata.ts';

/** NF_INET_*: where a base chain sees packets. */
const HOOKS = { prerouting: 0, input: 1, forward: 2, output: 3, postrouting: 4, ingress: 5 } as const;

/** The priorities that have names. nft(8), "Standard priority names". */
export const PRIORITY = { raw: -300, mangle: -150, dstnat: -100, filter: 0, security: 50, srcnat: 100 } as const;

const POLICIES = { drop: 0, accept: 1 } as const;

const sbe32: Codec<number> = { ...be32, name: 'sbe32', read: (view) => view.getInt32(0) };

/** NFTA_HOOK_*. */
const hook = {
  number: [1, be32], // NFTA_HOOK_HOOKNUM
  priority: [2, sbe32], // NFTA_HOOK_PRIORITY
  device: [3, str], // NFTA_HOOK_DEV
} as const satisfies AttrTable;

const attrs = {
  table: [1, str], // NFTA_CHAIN_TABLE
  handle: [2, be64], // NFTA_CHAIN_HANDLE
  name: [3, str], // NFTA_CHAIN_NAME
  hook: [4, nest(hook)], // NFTA_CHAIN_HOOK
  policy: [5, be32], // NFTA_CHAIN_POLICY
  use: [6, be32], // NFTA_CHAIN_USE: its rules, and the jumps to it
  type: [7, str], // NFTA_CHAIN_TYPE
  userdata: [12, userdata(commentData)], // NFTA_CHAIN_USERDATA
} as const satisfies AttrTable;

export const chainKind = { name: 'chain', header: nfgenmsg, attrs } as const satisfies MessageKind;

/** What makes a chain a base chain: the kernel passes packets to it without a jump. */
export interface BaseChain {
  readonly type: 'filter' | 'nat' | 'route';
  readonly hook: keyof typeof HOOKS;
  readonly priority: number;
  readonly policy?: keyof typeof POLICIES;
}

export interface Chain {
  readonly table: Table;
  readonly name: string;
  readonly base?: BaseChain;
  readonly comment?: string;
}

/**
 * Adds a chain, or does nothing if it exists in the same form.
 * Equivalent to: `nft 'add chain inet netloom web'`
 */
export function add(chain: Chain): Request {
  return newChain(chain, 'add', NLM_F.CREATE);
}

/**
 * Adds a chain that must not exist. So rules in the same batch are added only once, even if another process does the
 * same.
 * Equivalent to: `nft 'create chain inet netloom web'`
 */
export function create(chain: Chain): Request {
  return newChain(chain, 'create', NLM_F.CREATE | NLM_F.EXCL);
}

/**
 * Deletes a chain with its rules. The kernel answers EBUSY while something jumps to it.
 * Equivalent to: `nft 'flush chain inet netloom web; delete chain inet netloom web'`
 */
export function remove(chain: Chain): Request {
  const where = chainText(chain);
  return request(
    chainKind,
    NFT_MSG.DELCHAIN,
    0,
    { family: NFPROTO[chain.table.family] },
    { table: chain.table.name, name: chain.name },
    {
      action: () => `delete the chain "${where}"`,
      command: () => nftCommand(`flush chain ${where} ; delete chain ${where}`),
    },
  );
}

export interface ChainState {
  readonly name: string;
  /** How many rules it has, plus how many rules and elements jump to it. */
  readonly use: number;
  readonly isBase: boolean;
  readonly comment: string | undefined;
}

/** The state of a chain in the kernel, or undefined if it does not exist. */
export function get(nft: NetlinkSocket, chain: Chain): ChainState | undefined {
  const wanted = request(
    chainKind,
    NFT_MSG.GETCHAIN,
    0,
    { family: NFPROTO[chain.table.family] },
    { table: chain.table.name, name: chain.name },
    texts('list', chain, ''),
  );
  const answer = nft.find(wanted, ERRNO.ENOENT);
  return answer && stateOf(answer);
}

/** The chains of a table. Equivalent to: `nft 'list chains inet'`, of one table */
export function list(nft: NetlinkSocket, table: Table): ChainState[] {
  // NB: a dump of chains cannot be limited to one table, so the chains of other tables are left out here.
  const wanted = request(
    chainKind,
    NFT_MSG.GETCHAIN,
    0,
    { family: NFPROTO[table.family] },
    {},
    {
      action: () => `list the chains of "${tableText(table)}"`,
      command: () => nftCommand(`list chains ${table.family}`),
    },
  );
  return nft
    .dump(wanted)
    .filter((answer) => answer.attrs.table === table.name)
    .map(stateOf);
}

/** A chain as nft writes it: `inet netloom web`. */
export function chainText(chain: Chain): string {
  return `${tableText(chain.table)} ${chain.name}`;
}

function stateOf({ attrs }: Message<typeof chainKind>): ChainState {
  return {
    name: attrs.name ?? '',
    use: attrs.use ?? 0,
    isBase: attrs.hook !== undefined,
    comment: attrs.userdata?.comment,
  };
}

function newChain(chain: Chain, verb: string, flags: number): Request {
  const { table, name, base, comment } = chain;
  return request(
    chainKind,
    NFT_MSG.NEWCHAIN,
    flags,
    { family: NFPROTO[table.family] },
    {
      table: table.name,
      name,
      ...(base !== undefined && {
        type: base.type,
        policy: POLICIES[base.policy ?? 'accept'],
        hook: { number: HOOKS[base.hook], priority: base.priority },
      }),
      ...(comment !== undefined && { userdata: { comment } }),
    },
    texts(verb, chain, bodyText(chain)),
  );
}

function bodyText({ base, comment }: Chain): string {
  const parts: string[] = [];
  if (base !== undefined) {
    parts.push(`type ${base.type} hook ${base.hook} priority ${base.priority}`, `policy ${base.policy ?? 'accept'}`);
  }
  if (comment !== undefined) parts.push(`comment ${quoted(comment)}`);
  return parts.length === 0 ? '' : ` { ${parts.join(' ; ')} ; }`;
}

function texts(verb: string, chain: Chain, body: string) {
  return {
    action: () => `${verb} the chain "${chainText(chain)}"`,
    command: () => nftCommand(`${verb} chain ${chainText(chain)}${body}`),
  };
}
