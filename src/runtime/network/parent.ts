/**
 * The link of the host that a network goes by: looked at when the network is made, so that a slip of the pen is not
 * found by the first container.
 */
import { faultOf, mastersThere, thereAre } from '../../attach/master.ts';
import { NetloomError } from '../../error.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import type { Driver } from './driver.ts';

/**
 * What can change until a container comes is not looked at: whether it is up.
 * @throws NetloomError invalid-option with the links that there are
 */
export function requireParent(name: string, { takesFrames }: NonNullable<Driver['parent']>): void {
  using nl = openRoute();
  const found = link.find(nl, { name });
  const fault = found === undefined ? 'there is none of that name' : faultOf(found, takesFrames, false);
  if (fault === undefined) return;
  throw new NetloomError('invalid-option', `"parent" is "${name}", expected a link of this host: ${fault}`, {
    hint: `${thereAre(mastersThere(nl, { takesFrames }))}; with -o parent_later=true it need not exist yet`,
  });
}
