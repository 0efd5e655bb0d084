/** vlan: one VLAN of an interface of the host. https://www.cni.dev/plugins/current/main/vlan/ */
import * as v from 'valibot';
import type { LinkPlan } from '../../attach/container-link.ts';
import { containerLinkPlugin } from '../../attach/container-link-plugin.ts';
import { masterFor, masterKeys, requireMaster } from '../../attach/master.ts';
import type { ContainerSide } from '../../attach/namespace.ts';
import type { CniCall } from '../../cni/call.ts';
import { type ConfOf, confSchema } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';

const NEEDS = { takesFrames: false, masterUp: true };

const schema = confSchema(() => ({ ...masterKeys(), vlanId: v.optional(v.number(), 0) }));

type VlanConf = ConfOf<typeof schema>;

export const vlan = containerLinkPlugin<VlanConf>({
  type: 'vlan',
  about: 'one VLAN of an interface of the host',
  schema,
  announces: true,
  checkConf({ vlanId }) {
    if (Number.isInteger(vlanId) && vlanId >= 0 && vlanId <= 4094) return;
    throw new NetloomError('invalid-config', `invalid VLAN ID ${vlanId} (must be between 0 and 4094)`);
  },
  plan,
  made: ({ vlanId }) => ({ id: vlanId }),
  status: (conf, host) => requireMaster(conf, host, NEEDS),
});

function plan({ conf }: CniCall<VlanConf>, host: NetlinkSocket, container: ContainerSide): LinkPlan {
  const { vlanId } = conf;
  const { master, from, attrs } = masterFor(conf, host, container, NEEDS);
  return {
    from,
    attrs: { ...attrs, linkinfo: { kind: 'vlan', data: { id: vlanId } } },
    refusals: {
      EEXIST: `"${master.name}" has a link of the VLAN ${vlanId} already, here or in another container, and can have only one`,
      EOPNOTSUPP: `"${master.name}" carries no VLANs`,
    },
  };
}
