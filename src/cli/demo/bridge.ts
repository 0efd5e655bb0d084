/** `netloom demo`: the main task in ten seconds, on any machine, leaving nothing behind. */
import { buildCommand, type CommandContext } from '@stricli/core';
import { linksOf, Stage } from './stage.ts';
import { wiringOf } from './wiring.ts';

const CONF = {
  cniVersion: '1.1.0',
  name: 'demo',
  type: 'bridge',
  bridge: 'netloom0',
  isGateway: true,
  ipMasq: true,
  ipam: { type: 'host-local', ranges: [[{ subnet: '10.77.0.0/24' }]], routes: [{ dst: '0.0.0.0/0' }] },
};

export const bridgeDemoCommand = buildCommand({
  docs: {
    brief: 'Connect two containers by a bridge (the default)',
    fullDescription: `Makes three network namespaces: one plays the host, two play containers. Adds
both containers to a bridge as a container runtime would, shows how they are
connected, lets them reach each other, and removes everything. This machine is
not changed.

Examples:
  netloom demo
  netloom demo bridge`,
  },
  parameters: {},
  func(this: CommandContext) {
    demo((line) => this.process.stdout.write(`${line}\n`));
  },
});

function demo(print: (line: string) => void): void {
  using stage = new Stage(print);
  const host = stage.role('host');
  const [blue, green] = [stage.role('blue'), stage.role('green')];
  print('A network namespace plays the host, two play containers; this machine stays as it is.\n');

  const [first, second] = [stage.add(host, blue, CONF), stage.add(host, green, CONF)];
  print(`\n${wiringOf(host.netns, CONF.bridge, [blue, green])}\n`);

  stage.reach(blue, 'green', second.ip);
  stage.reach(blue, 'the host', first.gateway);
  stage.reach(green, 'blue', first.ip);
  stage.reach(green, 'the host', second.gateway);

  print('');
  for (const each of [blue, green]) stage.del(host, each, CONF);
  print(`\nLeft on the host: ${linksOf(host).join(', ')}. All of it goes with the namespaces now.`);
}
