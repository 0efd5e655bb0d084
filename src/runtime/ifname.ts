import { NetloomError } from '../error.ts';
import { ifnameFault } from '../net/ifname.ts';

/** The name of an interface in a container, as somebody asks for it. @throws NetloomError invalid-ifname */
export function parseIfname(name: string): string {
  const fault = ifnameFault(name) ?? (name === 'lo' ? 'it is the loopback' : undefined);
  if (fault === undefined) return name;
  throw new NetloomError('invalid-ifname', `${JSON.stringify(name)} cannot be the name of an interface, ${fault}`);
}
