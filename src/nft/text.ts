/** The parts of nft(8)'s language that are needed to print requests. */

/** The whole command for a person's shell: `nft 'add table inet netloom'`. */
export function nftCommand(text: string): string {
  return `nft '${text.replaceAll("'", `'\\''`)}'`;
}

/** A quoted string. The language has no way to write a quote within one. */
export function quoted(text: string): string {
  return `"${text.replaceAll('"', '')}"`;
}

/** The comment at the end of a rule or an element, with the space before it. */
export function commentText(comment: string | undefined): string {
  return comment === undefined ? '' : ` comment ${quoted(comment)}`;
}
