/**
 * policy: what the container may reach and who may reach it. Chained behind the plugin that makes the interface.
 * docs/policy.md has the format.
 */
import * as v from 'valibot';
import { type Attached, attachedOf, hostLinks } from '../../attach/chained.ts';
import { commentOf, ownerOf } from '../../attach/owner.ts';
import {
  entriesOf,
  filterBridges,
  removePolicy,
  removePolicyBy,
  removeStalePolicies,
  setPolicy,
  verifyBridges,
  verifyPolicy,
} from '../../attach/policy.ts';
import { type PolicyRules, readPolicy } from '../../attach/policy-rules.ts';
import { Differences } from '../../attach/verify.ts';
import type { CniCall } from '../../cni/call.ts';
import { type ConfOf, confSchema, looseObject, object } from '../../cni/config.ts';
import type { Plugin } from '../../cni/plugin.ts';
import type { CniResult } from '../../cni/result.ts';
import { NetloomError } from '../../error.ts';
import { requireNft } from '../../nft/socket.ts';
import { openRoute } from '../../rtnl/socket.ts';

const schema = confSchema(() => {
  const policy = v.exactOptional(looseObject({}));
  return {
    policy,
    // Listed only to be refused: if they were ignored, a container would be open that is meant to be closed.
    ingress: v.exactOptional(v.unknown()),
    egress: v.exactOptional(v.unknown()),
    runtimeConfig: v.optional(object({ policy }), {}),
  };
});

type PolicyConf = ConfOf<typeof schema>;

export const policy: Plugin<PolicyConf> = {
  type: 'policy',
  about: 'what the container may reach, and who may reach it',
  schema,
  add,
  del,
  check,
  gc: removeStalePolicies,
  status,
};

function add(call: CniCall<PolicyConf>): CniResult {
  const attached = attachedOf(call);
  const entries = policed(call);
  if (entries.some(({ ingress, egress }) => ingress !== undefined || egress !== undefined)) requireHostLink(attached);
  using nl = openRoute();
  using undo = new DisposableStack();
  filterBridges(nl, hostLinks(nl, attached));
  undo.defer(() => {
    removePolicy(entries);
  });
  setPolicy(entries);
  undo.move(); // All of it stands: nothing to undo.
  return attached.result;
}

/**
 * With prevResult the addresses are known. Without it, or if none of them is the owner's, all elements are searched for
 * the owner's comment.
 */
function del(call: CniCall<PolicyConf>): void {
  const comment = commentOf(ownerOf(call));
  const known = call.conf.prevResult === undefined ? [] : attachedOf(call).ips;
  if (!removePolicy(known.map(({ address }) => ({ ip: address.ip, comment }))))
    removePolicyBy((other) => other === comment);
}

function check(call: CniCall<PolicyConf>): void {
  const attached = attachedOf(call);
  const differences = new Differences();
  using nl = openRoute();
  verifyPolicy(policed(call), differences);
  verifyBridges(nl, hostLinks(nl, attached), differences);
  differences.throwIfAny();
}

/** @throws NetloomError not-available with the reason */
function status({ conf }: CniCall<PolicyConf>): void {
  rulesOf(conf);
  requireNft('Cannot set a policy');
}

/**
 * @throws NetloomError invalid-config if the container's packets do not pass this host's hooks, as with a macvlan link:
 * a policy that sees only some packets is none
 */
function requireHostLink({ onHost }: Attached): void {
  if (onHost.length > 0) return;
  throw new NetloomError(
    'invalid-config',
    'failed to load netconf: "policy" refuses something, but no plugin before has an interface on the host',
    {
      hint: 'chain "policy" behind a plugin such as "bridge" or "ptp", through which the packets pass this host',
    },
  );
}

function policed(call: CniCall<PolicyConf>) {
  const ips = attachedOf(call).ips.map(({ address }) => address.ip);
  return entriesOf(commentOf(ownerOf(call)), ips, rulesOf(call.conf));
}

/** The runtime's policy goes before the one in the conflist. @throws NetloomError invalid-config */
function rulesOf({ policy: own, runtimeConfig, ...beside }: PolicyConf): PolicyRules {
  for (const key of ['ingress', 'egress'] as const) {
    if (beside[key] === undefined) continue;
    throw new NetloomError(
      'invalid-config',
      `failed to load netconf: "${key}" stands beside "policy", expected within it: "policy": { "${key}": … }`,
    );
  }
  if (runtimeConfig.policy !== undefined) return readPolicy(runtimeConfig.policy, 'runtimeConfig.policy');
  return readPolicy(own ?? {}, 'policy');
}
