/** `netloom policy ls`: which endpoints have a policy, and what it allows, read from the kernel. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { bitsOf, Ip } from '../../net/ip.ts';
import { inetProto } from '../../nft/datatype.ts';
import * as nftPolicy from '../../nft/policy.ts';
import type { Box } from '../../nft/policy-boxes.ts';
import { tryOpenNft } from '../../nft/socket.ts';

export const listCommand = buildCommand({
  docs: {
    brief: 'List policies',
    fullDescription: `Prints a line for each container and direction: NETWORK/CONTAINER/IFNAME, its
address, ingress or egress, and what is allowed. It is read from the kernel.
A container without a policy is open, and not listed.

Example: netloom policy ls --json`,
  },
  parameters: { flags: { json: { kind: 'boolean', default: false, brief: 'Print JSON' } } },
  func(this: CommandContext, { json }: { json: boolean }) {
    using nft = tryOpenNft();
    const all =
      nft === undefined ? [] : nftPolicy.list(nft).map((state) => ({ state, boxes: nftPolicy.allowed(nft, state) }));
    const rows = all
      .map(({ state, boxes }) => ({
        endpoint: state.comment,
        address: `${state.ip}`,
        direction: state.direction,
        allowed: boxes.map((box) => textOf(box, state.ip.family)).sort(),
      }))
      .sort((a, b) =>
        `${a.endpoint} ${a.address} ${a.direction}`.localeCompare(`${b.endpoint} ${b.address} ${b.direction}`),
      );
    const line = ({ endpoint, address, direction, allowed }: (typeof rows)[number]) =>
      `${endpoint}  ${address}  ${direction}  ${allowed.length === 0 ? 'nothing' : allowed.join(', ')}\n`;
    this.process.stdout.write(json ? `${JSON.stringify(rows, null, 2)}\n` : rows.map(line).join(''));
  },
});

/** `10.1.0.0/24 tcp 80-443` */
function textOf({ peer, protocol, port }: Box, family: 4 | 6): string {
  const parts = [peerText(peer, family)];
  if (protocol[0] === protocol[1]) parts.push(inetProto.text(inetProto.decode(Uint8Array.of(protocol[0]))));
  else if (protocol[0] > 0 || protocol[1] < 255) parts.push(`protocol ${protocol.join('-')}`);
  if (port[0] === port[1]) parts.push(String(port[0]));
  else if (port[0] > 0 || port[1] < 65_535) parts.push(port.join('-'));
  return parts.join(' ');
}

function peerText([first, last]: Box['peer'], family: 4 | 6): string {
  const size = last - first + 1n;
  const host = size.toString(2).length - 1;
  const isPrefix = 1n << BigInt(host) === size && first % size === 0n;
  const ip = (value: bigint) => `${Ip.fromBigInt(family, value)}`;
  if (!isPrefix) return `${ip(first)}-${ip(last)}`;
  return host === 0 ? ip(first) : `${ip(first)}/${bitsOf(family) - host}`;
}
