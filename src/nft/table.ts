/** Tables: NFT_MSG_*TABLE with NFTA_TABLE_*. linux/netfilter/nf_tables.h, nft(8) "TABLES". */
import { ERRNO } from '../ffi/errno.ts';
import type { AttrTable } from '../netlink/attribute.ts';
import { be32, be64, str } from '../netlink/codec.ts';
import { type MessageKind, NLM_F, type Request, request } from '../netlink/message.ts';
import type { NetlinkSocket } from '../netlink/socket.ts';
import { NFPROTO, NFT_MSG, type NftFamily, nfgenmsg } from './message.ts';
import { nftCommand, quoted } from './text.ts';
import { commentData, userdata } from './userdata.ts';

const attrs = {
  name: [1, str], // NFTA_TABLE_NAME
  flags: [2, be32], // NFTA_TABLE_FLAGS
  use: [3, be32], // NFTA_TABLE_USE: its chains, sets and objects
  handle: [4, be64], // NFTA_TABLE_HANDLE
  userdata: [6, userdata(commentData)], // NFTA_TABLE_USERDATA
} as const satisfies AttrTable;

export const tableKind = { name: 'table', header: nfgenmsg, attrs } as const satisfies MessageKind;

export interface Table {
  readonly family: NftFamily;
  readonly name: string;
  /** Shown by nft from 1.0.0 on. It is set when the table is made and cannot be changed later. */
  readonly comment?: string;
}

/**
 * Adds a table, or does nothing if it exists.
 * Equivalent to: `nft 'add table inet netloom'`
 */
export function add(table: Table): Request {
  return newTable(table, 'add', NLM_F.CREATE);
}

/**
 * Adds a table that must not exist.
 * Equivalent to: `nft 'create table inet netloom'`
 */
export function create(table: Table): Request {
  return newTable(table, 'create', NLM_F.CREATE | NLM_F.EXCL);
}

/**
 * Deletes a table with all that is in it.
 * Equivalent to: `nft 'delete table inet netloom'`
 */
export function remove(table: Table): Request {
  const header = { family: NFPROTO[table.family] };
  return request(tableKind, NFT_MSG.DELTABLE, 0, header, { name: table.name }, texts('delete', table, ''));
}

/** Deletes every table of the namespace. Equivalent to: `nft 'flush ruleset'` */
export function flush(): Request {
  return request(
    tableKind,
    NFT_MSG.DELTABLE,
    0,
    {},
    {},
    {
      action: () => 'delete every table',
      command: () => nftCommand('flush ruleset'),
    },
  );
}

/**
 * The state of a table in the kernel, or undefined if it does not exist.
 * Equivalent to: `nft 'list table inet netloom'`, without its content
 */
export function get(nft: NetlinkSocket, table: Table): TableState | undefined {
  const header = { family: NFPROTO[table.family] };
  const wanted = request(tableKind, NFT_MSG.GETTABLE, 0, header, { name: table.name }, texts('list', table, ''));
  const answer = nft.find(wanted, ERRNO.ENOENT);
  return answer && { use: answer.attrs.use ?? 0, comment: answer.attrs.userdata?.comment };
}

export interface TableState {
  /** How many chains, sets and other objects it has. */
  readonly use: number;
  readonly comment: string | undefined;
}

/** A table as nft writes it: `inet netloom`. */
export function tableText(table: Table): string {
  return `${table.family} ${table.name}`;
}

function newTable(table: Table, verb: string, flags: number): Request {
  const body = table.comment === undefined ? '' : ` { comment ${quoted(table.comment)} ; }`;
  return request(
    tableKind,
    NFT_MSG.NEWTABLE,
    flags,
    { family: NFPROTO[table.family] },
    { name: table.name, flags: 0, ...(table.comment !== undefined && { userdata: { comment: table.comment } }) },
    texts(verb, table, body),
  );
}

function texts(verb: string, table: Table, body: string) {
  return {
    action: () => `${verb} the table "${tableText(table)}"`,
    command: () => nftCommand(`${verb} table ${tableText(table)}${body}`),
  };
}
