/**
 * The host link that a network uses: checked when the network is made, so that a typing error is not left for the first
 * container to find.
 */
import { faultOf, mastersThere, thereAre } from '../../attach/master.ts';
import { NetloomError } from '../../error.ts';
import * as link from '../../rtnl/link.ts';
import { openRoute } from '../../rtnl/socket.ts';
import type { Driver } from './driver.ts';

/**
 * Does not check whether the link is up: that may change before a container comes.
 * @throws NetloomError invalid-option with the links that exist
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
