/** `netloom policy rm NETWORK/CONTAINER`: removes policies. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { commentOf } from '../../attach/owner.ts';
import { forget, removePolicyBy } from '../../attach/policy.ts';
import * as nftPolicy from '../../nft/policy.ts';
import { tryOpenNft } from '../../nft/socket.ts';
import { pathsOf } from '../../paths.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { ownerOfEndpoint, parseEndpoint } from './endpoint.ts';
import { unknownEndpoint } from './unknown.ts';
import { wiredOwner } from './wires.ts';

export const removeCommand = buildCommand({
  docs: {
    brief: 'Remove the policies of containers',
    fullDescription: `Removes the policies of containers. They are open from then on: nothing is
refused to them.

Example: netloom policy rm lab/web`,
  },
  parameters: {
    positional: {
      kind: 'array',
      minimum: 1,
      parameter: {
        brief: 'Whose policy; IFNAME is eth0 if not given',
        parse: String,
        placeholder: 'NETWORK/CONTAINER[/IFNAME]',
      },
    },
    flags: { json: { kind: 'boolean', default: false, brief: 'Print JSON' } },
  },
  func(this: CommandContext, { json }: { json: boolean }, ...names: string[]) {
    const owners = knownOwners(names.map((name) => ownerOfEndpoint(parseEndpoint(name))));
    const done = owners.map((owner) => {
      const comment = commentOf(owner);
      const addresses = removePolicyBy((other) => other === comment);
      forget(pathsOf(process.env), owner);
      return { endpoint: owner, addresses };
    });
    const lines = done.map(({ endpoint, addresses }) => `${endpoint}: ${addresses === 0 ? 'had none' : 'removed'}\n`);
    this.process.stdout.write(json ? `${JSON.stringify(done, null, 2)}\n` : lines.join(''));
  },
});

/**
 * Requires that every endpoint exists: after a misspelt name nobody should believe that a policy is gone. An endpoint
 * with a wire but without a policy is not an error.
 * @throws NetloomError unknown-container, before anything has changed
 */
function knownOwners(asked: readonly string[]): string[] {
  using nl = openRoute();
  using nft = tryOpenNft();
  const policed = new Set(nft === undefined ? [] : nftPolicy.list(nft).map(({ comment }) => comment));
  return asked.map((owner) => {
    const known = policed.has(commentOf(owner)) ? owner : wiredOwner(nl, owner);
    if (known !== undefined) return known;
    throw unknownEndpoint(nl, owner);
  });
}
