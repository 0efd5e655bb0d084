/** The MAC that is asked for. Each plugin type has its own order in which it looks for it. */
import { parseArgs } from '../cni/args.ts';
import type { CniCall } from '../cni/call.ts';
import { NetloomError } from '../error.ts';
import { isMulticastMac, type Mac, tryParseMac } from '../net/mac.ts';

/** A place where a MAC may be asked for, and its value; an empty one asks for nothing. */
export type MacSource = readonly [name: string, value: string | undefined];

const NOBODY = '00:00:00:00:00:00';

/** The first that is asked for. @throws NetloomError invalid-mac */
export function firstMac(...sources: readonly MacSource[]): Mac | undefined {
  for (const [source, asked] of sources) {
    if (asked === undefined || asked === '') continue;
    const mac = tryParseMac(asked);
    if (mac !== undefined && !isMulticastMac(mac) && mac !== NOBODY) return mac;
    throw new NetloomError(
      'invalid-mac',
      `"${source}" is "${asked}", expected the MAC of one station, such as "02:42:0a:01:00:02"`,
    );
  }
  return undefined;
}

/** What CNI_ARGS says. @throws NetloomError invalid-args */
export function macInArgs({ args }: Pick<CniCall, 'args'>): MacSource {
  return ['CNI_ARGS: MAC', args === '' ? undefined : parseArgs(args, ['MAC']).get('MAC')];
}
