/** Every runtime can use a network made by `netloom network create`, and both sides see its attachments. */
import { join } from 'node:path';
import test from 'ava';
import { NETLOOM } from '../support/command.ts';
import { addressOf } from './contract.ts';
import { Machine } from './machine.ts';
import { podman } from './podman.ts';

interface Row {
  readonly name: string;
  readonly attached: readonly {
    readonly container: string;
    readonly ifname: string;
    readonly addresses: readonly string[];
  }[];
}

let machine: Machine;

test.before(async () => {
  machine = await Machine.start();
});

test.after.always(async () => {
  await machine?.end();
});

test.serial(
  'podman runs a container on it; netloom lists that, does not collect it, and keeps the network for it',
  async (t) => {
    const netloom = (...args: string[]) => machine.run(NETLOOM, ...args);
    netloom('network', 'create', '--ipv6', 'shared');
    const runtime = podman(machine, 'shared');
    t.regex(runtime.command('network', 'ls'), /\bshared\b/);
    const container = await runtime.start('/bin/sleep', '1000');
    const [row] = JSON.parse(netloom('network', 'ls', '--json')) as Row[];
    t.like(row?.attached[0], { container: container.id, ifname: 'eth0' });
    const address = addressOf(await container.exec('/bin/ip', 'addr'), '10.90.0.');
    t.true(row?.attached[0]?.addresses.includes(`${address}/24`));

    netloom('gc');
    t.regex(await container.exec('/bin/ping', '-c', '1', '-W', '5', '10.90.0.1'), / 0% packet loss/);
    t.throws(() => netloom('network', 'rm', 'shared'), { message: /1 interface is attached to it/ });
    // A sandbox of netloom beside it.
    t.regex(netloom('run', '--network', 'shared', '--', 'ping', '-c', '1', '-w', '20', address), / 1 received/);
    await container.remove();
    netloom('network', 'rm', 'shared');
    t.deepEqual(machine.state().links, ['lo']);
    t.deepEqual(
      machine.state().files.filter((file) => file.startsWith(join('/var/lib/cni', ''))),
      [],
    );
  },
);
