/** Statements: what a rule is made of, each with its expressions and its words in nft's language. */
import type { Expression } from './expressions/expression.ts';
import type { NftFamily } from './message.ts';

/**
 * What must hold before a statement makes sense: `tcp dport` needs TCP. nft puts such tests before the statement
 * without showing them, once a rule; so do we.
 */
export interface Dependency {
  readonly name: string;
  readonly expressions: readonly Expression[];
  /** Only tables of these families carry other packets as well. */
  readonly families?: readonly NftFamily[];
}

export interface Statement {
  /** In nft's words, without the dependencies, which nft adds by itself. Empty where nft has none. */
  readonly text: string;
  readonly needs: readonly Dependency[];
  /** What the statement itself makes sure of, such as `meta l4proto tcp`. */
  readonly provides?: string;
  readonly expressions: readonly Expression[];
  /**
   * What it says of its rule to people. In nft's language that stands at the end, whatever comes after the statement.
   */
  readonly comment?: string;
}

/** The expressions of a rule, each dependency once. */
export function expressionsOf(family: NftFamily, statements: readonly Statement[]): Expression[] {
  const known = new Set<string>();
  const expressions: Expression[] = [];
  for (const statement of statements) {
    for (const need of statement.needs) {
      if (known.has(need.name) || need.families?.includes(family) === false) continue;
      known.add(need.name);
      expressions.push(...need.expressions);
    }
    expressions.push(...statement.expressions);
    if (statement.provides !== undefined) known.add(statement.provides);
  }
  return expressions;
}
