/** Leaves out what already exists on the host, so that a script of the remaining steps runs on the host as it is. */
import * as chain from '../nft/chain.ts';
import { netloomTable } from '../nft/netloom-table.ts';
import * as set from '../nft/set.ts';
import { tryOpenNft } from '../nft/socket.ts';
import * as table from '../nft/table.ts';
import type { Step } from './rehearse.ts';

/** `nft 'create map inet netloom forward4 …'`: a map, set or chain by its name. */
const MAKES = /^nft 'create (?:map|set|chain) (inet netloom \S+)/;
const ADDS_RULE = /^nft 'add rule (inet netloom \S+)/;

/**
 * Steps without those that make what the host already has in its table. Objects of one name are equal, because the name
 * changes with the layout (netloom-table.ts).
 * NB: a rehearsal sees only what the network itself has made there, but networks share the table.
 */
export function withoutStanding(steps: readonly Step[]): Step[] {
  const standing = namesInTable();
  return steps.flatMap(({ where, told }): Step[] => {
    if (where !== 'host') return [{ where, told }];
    const made = new Set(told.flatMap(({ command }) => MAKES.exec(command)?.[1] ?? []));
    const isLeft = ({ command }: Step['told'][number]) => {
      const name = (MAKES.exec(command) ?? ADDS_RULE.exec(command))?.[1];
      return name === undefined || !made.has(name) || !standing.has(name);
    };
    const left = told.filter(isLeft);
    return left.length === 0 ? [] : [{ where, told: left }];
  });
}

/** The objects of netloom's table in the namespace of the calling thread, as nft calls them. */
export function namesInTable(): ReadonlySet<string> {
  using nft = tryOpenNft();
  if (nft === undefined || table.get(nft, netloomTable) === undefined) return new Set();
  const names = [...chain.list(nft, netloomTable), ...set.list(nft, netloomTable)].map(({ name }) => name);
  return new Set(names.map((name) => `inet netloom ${name}`));
}
