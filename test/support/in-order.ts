/**
 * A ruleset as nft prints it, with the elements of each set on one line and sorted: the kernel has them in the order of
 * a hash, whose seed is another for each set, and whose table grows and shrinks.
 */
export function inOrder(ruleset: string): string {
  return ruleset
    .replaceAll(/,\n\t+ */g, ', ')
    .replaceAll(/elements = \{ (.*) \}/g, (_, list: string) => `elements = { ${list.split(', ').sort().join(', ')} }`);
}
