/**
 * Keys that a JSON text has twice in one object. JSON.parse() silently takes the last one, as Go does; RFC 8259,
 * section 4, calls that unpredictable.
 */

export interface DuplicateKey {
  /** The path of keys and indices to the object. */
  readonly at: readonly (string | number)[];
  readonly key: string;
  /** Both values as they are written; of an object or a list only the opening bracket. */
  readonly values: readonly [first: string, second: string];
}

/** A string, a punctuation mark, or a number or word. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/g;

interface Level {
  /** Values by key; undefined in a list. */
  readonly seen: Map<string, string> | undefined;
  /** The current key or index. */
  place: string | number;
}

/** @param text valid JSON */
export function duplicateKeys(text: string): DuplicateKey[] {
  const tokens = text.match(TOKEN) ?? [];
  const levels: Level[] = [];
  const found: DuplicateKey[] = [];
  for (const [i, token] of tokens.entries()) {
    const level = levels.at(-1);
    if (token === '{' || token === '[') levels.push({ seen: token === '{' ? new Map() : undefined, place: 0 });
    else if (token === '}' || token === ']') levels.pop();
    else if (token === ',' && typeof level?.place === 'number') level.place++;
    else if (token === ':' && level?.seen !== undefined) {
      const key = JSON.parse(tokens[i - 1] ?? '') as string;
      const value = tokens[i + 1] ?? '';
      const before = level.seen.get(key);
      if (before !== undefined) {
        found.push({ at: levels.slice(0, -1).map(({ place }) => place), key, values: [before, value] });
      }
      level.place = key;
      level.seen.set(key, value);
    }
  }
  return found;
}
