/**
 * The agent's thread that talks to etcd. Unlike the others it returns to the engine's event loop, which HTTP needs. It
 * writes down what it learns; the thread for overlays acts upon it.
 */
import { messageOf } from '../error.ts';
import { EtcdFollower } from '../overlay/etcd/follower.ts';
import type { EtcdMembership } from '../overlay/etcd/settings.ts';
import { openRoute } from '../rtnl/socket.ts';
import { etcdMemberships } from './etcd-memberships.ts';
import { giveBack } from './garbage.ts';
import type { OverlayAssignment } from './overlay-worker.ts';

interface Scope {
  onmessage: ((event: { data: OverlayAssignment }) => void) | null;
  postMessage(message: string): void;
}

/** How often conflists are read, in ms. */
const LOOK = 1_000;

const scope = globalThis as unknown as Scope;

scope.onmessage = ({ data: { paths } }) => {
  scope.onmessage = null;
  const nl = openRoute();
  /** By the membership that the conflist gives. */
  const following = new Map<string, AbortController>();
  const look = () => {
    const wanted = new Map(etcdMemberships(paths).map((of) => [JSON.stringify(of), of]));
    for (const [print, end] of following) {
      if (wanted.has(print)) continue;
      end.abort();
      following.delete(print);
    }
    for (const [print, of] of wanted) {
      if (!following.has(print)) start(print, of);
    }
  };
  const start = (print: string, of: EtcdMembership): void => {
    const say = (message: string) => scope.postMessage(`overlay "${of.network}": ${message}`);
    const end = new AbortController();
    following.set(print, end);
    new EtcdFollower(of, paths, say, {}, () => void setTimeout(giveBack, 0))
      .run(nl, end.signal)
      .catch((error) => say(messageOf(error)))
      // A follower that has failed is started anew at the next look. NB: another one may be running by now.
      .finally(() => following.get(print) === end && following.delete(print));
  };
  look();
  setInterval(look, LOOK);
};
