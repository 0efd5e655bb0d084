/**
 * A ruleset as nft prints it, with the elements of each set sorted on one line. The kernel lists them in the order of a
 * hash table; each set has its own seed, and the table grows and shrinks.
 */
export function inOrder(ruleset: string): string {
  return ruleset
    .replaceAll(/,\n\t+ */g, ', ')
    .replaceAll(/elements = \{ (.*) \}/g, (_, list: string) => `elements = { ${list.split(', ').sort().join(', ')} }`);
}
