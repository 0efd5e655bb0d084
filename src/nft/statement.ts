/** Statements: the parts of a rule, each with its expressions and its text in nft's language. */
import type { Expression } from './expressions/expression.ts';
import type { NftFamily } from './message.ts';

/**
 * What must hold before a statement makes sense: `tcp dport` needs TCP. nft puts such tests before the statement
 * without showing them, once a rule; so do we.
 */
export interface Dependency {
  readonly name: string;
  readonly expressions: readonly Expression[];
  /** The families whose tables see other packets as well and so need the test; missing: all. */
  readonly families?: readonly NftFamily[];
}

export interface Statement {
  /**
   * As nft writes it, without the dependencies, which nft adds by itself. Empty if nft's language has no such
   * statement.
   */
  readonly text: string;
  readonly needs: readonly Dependency[];
  /** What the statement itself makes sure of, such as `meta l4proto tcp`. */
  readonly provides?: string;
  readonly expressions: readonly Expression[];
  /**
   * A comment on the rule, for people. In nft's language it comes at the end of the rule, after all statements.
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
