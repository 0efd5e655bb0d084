/** What happens to the packet. nft(8), "VERDICT STATEMENT". */
import { type Verdict, verdictText } from '../data.ts';
import { loadVerdict } from '../expressions/immediate.ts';
import type { Statement } from '../statement.ts';

/** `accept`, `return`, `jump web` and the others. */
export function verdict(value: Verdict): Statement {
  return { text: verdictText(value), needs: [], expressions: [loadVerdict(value)] };
}
