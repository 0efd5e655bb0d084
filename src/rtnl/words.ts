/** Words of an equivalent command. */

/** A word with its value, such as `via 10.1.0.1`; nothing where there is no value. */
export function word(name: string, value: unknown): string[] {
  return value === undefined ? [] : [`${name} ${value}`];
}
