/**
 * CNI_ARGS: `K=V;K=V`, a runtime's way to ask for an address or a MAC. https://www.cni.dev/docs/conventions/#cni_args
 */
import { NetloomError } from '../error.ts';

const IGNORE_UNKNOWN = 'IgnoreUnknown';
const BOOLEANS: Readonly<Record<string, boolean>> = { '1': true, true: true, '0': false, false: false };

/**
 * Reads CNI_ARGS. Keys match exactly, the last of several wins.
 * @param known the keys that the plugin uses; others are refused unless `IgnoreUnknown=1` is among the pairs
 * @throws NetloomError invalid-args
 */
export function parseArgs(text: string, known: readonly string[]): ReadonlyMap<string, string> {
  const args = new Map<string, string>();
  const unknown: string[] = [];
  let ignoresUnknown = false;
  for (const pair of text === '' ? [] : text.split(';')) {
    const [key, value, ...more] = pair.split('=');
    if (key === undefined || value === undefined || more.length > 0) {
      throw invalid(`ARGS: invalid pair ${JSON.stringify(pair)}, expected "KEY=VALUE"`);
    }
    if (key === IGNORE_UNKNOWN) ignoresUnknown = booleanOf(pair, value);
    else if (known.includes(key)) args.set(key, value);
    else unknown.push(pair);
  }
  if (unknown.length > 0 && !ignoresUnknown) {
    const list = unknown.map((pair) => JSON.stringify(pair)).join(' ');
    throw invalid(`ARGS: unknown args [${list}], expected ${known.join(', ')} or ${IGNORE_UNKNOWN}=1`);
  }
  return args;
}

function booleanOf(pair: string, value: string): boolean {
  const result = BOOLEANS[value.toLowerCase()];
  if (result === undefined) throw invalid(`ARGS: invalid pair ${JSON.stringify(pair)}, expected 1, 0, true or false`);
  return result;
}

function invalid(message: string): NetloomError {
  return new NetloomError('invalid-args', message);
}
