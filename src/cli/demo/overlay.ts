/** `netloom demo overlay`: two machines and an overlay between them, on one. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { Cidr } from '../../net/cidr.ts';
import { withNetns } from '../../netns/within.ts';
import { bridgeName, tunnelName } from '../../overlay/network.ts';
import * as addr from '../../rtnl/addr.ts';
import { RTPROT_OVERLAY } from '../../rtnl/constants.ts';
import * as fdb from '../../rtnl/fdb.ts';
import * as link from '../../rtnl/link.ts';
import * as route from '../../rtnl/route.ts';
import { openRoute } from '../../rtnl/socket.ts';
import { linksOf, type Role, Stage } from './stage.ts';
import { wiringOf } from './wiring.ts';

const NODES = [
  { name: 'node1', address: '192.0.2.1', subnet: '10.96.1.0/24' },
  { name: 'node2', address: '192.0.2.2', subnet: '10.96.2.0/24' },
] as const;

const CONF = {
  cniVersion: '1.1.0',
  name: 'demo',
  type: 'overlay',
  subnet: '10.96.0.0/16',
  store: { type: 'static', nodes: NODES },
};

export const overlayDemoCommand = buildCommand({
  docs: {
    brief: 'Connect containers on two machines by an overlay',
    fullDescription: `Makes four network namespaces: two play machines with a cable between them, and
two play a container on each. Adds both containers to an overlay as container
runtimes would, shows how they are connected, lets them reach each other, and
removes everything. This machine is not changed.

Example: netloom demo overlay`,
  },
  parameters: {},
  func(this: CommandContext) {
    demo((line) => this.process.stdout.write(`${line}\n`));
  },
});

function demo(print: (line: string) => void): void {
  using stage = new Stage(print);
  const [one, two] = [stage.role('node1'), stage.role('node2')];
  const [blue, green] = [stage.role('blue'), stage.role('green')];
  plug(one, two);
  print(
    'Two network namespaces play machines with a cable between them, two play containers; this machine stays as it is.\n',
  );
  for (const { name, address, subnet } of NODES) print(`${name}  eth0 ${address}, containers have ${subnet}`);

  print('');
  const [first, second] = [stage.add(one, blue, CONF), stage.add(two, green, CONF)];
  for (const [node, container] of [
    [one, blue],
    [two, green],
  ] as const) {
    print(`\n${node.name}\n${wiringOf(node.netns, bridgeName(CONF.name), [container])}\n${waysOf(node)}`);
  }

  print('');
  stage.reach(blue, 'green', second.ip);
  stage.reach(green, 'blue', first.ip);
  stage.reach(one, 'green', second.ip);

  print('');
  stage.del(one, blue, CONF);
  stage.del(two, green, CONF);
  const left = [one, two].map((node) => `on ${node.name} ${linksOf(node).join(', ')}`);
  print(`\nLeft: ${left.join('; ')}. All of it goes with the namespaces now.`);
}

/** A cable from one to the other: the underlay. */
function plug(one: Role, two: Role): void {
  using nl = withNetns(one.netns, () => openRoute());
  const peer = { attrs: { name: 'eth0', netnsFd: two.netns.fd } };
  nl.execute(link.add({ name: 'eth0', linkinfo: { kind: 'veth', data: { peer } } }, { up: true }));
  for (const [i, { netns }] of [one, two].entries()) {
    using there = withNetns(netns, () => openRoute());
    const { index } = link.get(there, { name: 'eth0' });
    there.execute(link.set({ index }, {}, { up: true }));
    there.execute(addr.add(index, Cidr.parse(`${NODES[i]?.address}/24`)));
  }
}

/** The routes to other machines, as the kernel has them. */
function waysOf({ netns }: Role): string {
  using nl = withNetns(netns, () => openRoute());
  const tunnel = link.get(nl, { name: tunnelName(CONF.name) });
  const ends = fdb.list(nl, tunnel.index).map(({ dst }) => `${dst}`);
  return route
    .list(nl, 4, { protocol: RTPROT_OVERLAY, oif: tunnel.index })
    .map(({ dst }, i) => `${dst} is behind ${tunnel.name}, by VXLAN to ${ends[i]}, ${tunnel.mtu} bytes`)
    .join('\n');
}
