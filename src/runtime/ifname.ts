import { NetloomError } from '../error.ts';
import { ifnameFault } from '../net/ifname.ts';

/** Checks a requested name for an interface in a container. @throws NetloomError invalid-ifname */
export function parseIfname(name: string): string {
  const fault = ifnameFault(name) ?? (name === 'lo' ? 'it is the loopback' : undefined);
  if (fault === undefined) return name;
  throw new NetloomError('invalid-ifname', `${JSON.stringify(name)} cannot be the name of an interface, ${fault}`);
}
