import { overlayConfs } from '../../agent/overlays.ts';
import { NetloomError } from '../../error.ts';
import type { OverlayConf } from '../../plugins/overlay/conf.ts';
import { runtimeContext } from '../context.ts';

/** The overlay with this name, from the conflists of this machine. @throws NetloomError no-network */
export function confOf(network: string): OverlayConf {
  const confs = overlayConfs(runtimeContext().paths);
  const conf = confs.find(({ name }) => name === network);
  if (conf !== undefined) return conf;
  throw new NetloomError('no-network', `There is no overlay "${network}"`, {
    hint:
      confs.length > 0
        ? `there are: ${confs.map(({ name }) => name).join(', ')}`
        : `create one with "netloom network create --driver overlay ${network}"`,
  });
}
