/**
 * The checks of CNI_NETNS, before anything is done: the reference makes them afterwards, when the wrong namespace has
 * been changed already.
 */
import { NetloomError } from '../error.ts';
import { netnsIdAt, OWN_NETNS, openNetns } from '../netns/namespace.ts';

/** @throws NetloomError no-namespace, not-a-namespace, own-namespace */
export function checkNetns(path: string): void {
  using netns = openNetns(path);
  if (netns.id !== netnsIdAt(OWN_NETNS)) return;
  throw new NetloomError(
    'own-namespace',
    `CNI_NETNS "${path}" is the network namespace that the plugin itself runs in`,
    {
      hint: "give the container's namespace, or set CNI_NETNS_OVERRIDE=1",
    },
  );
}
