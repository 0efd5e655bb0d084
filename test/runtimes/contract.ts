/** What every runtime gives its containers with the conflists of cni-conf/. */
import type { TestFn } from 'ava';
import { type Machine, OURS } from './machine.ts';
import { holds, listens, prints } from './prints.ts';
import type { Runtime } from './runtime.ts';

export interface Setting {
  readonly machine: Machine;
  /** The runtime, with one conflist configured. */
  readonly runtime: Runtime;
}

/** The subnet of a bridge, for one address family. */
export interface Subnet {
  /** How the container addresses of the subnet begin; `gateway` is the address of the bridge itself. */
  readonly prefix: string;
  readonly gateway: string;
}

const HELLO = 'hello from the other container';

/** An address outside. It has no route back to the subnets. */
const OUTSIDE = '203.0.113.2';

/** The address of a container's eth0 that begins with the prefix. */
export function addressOf(output: string, prefix: string): string {
  const found = /inet6? (\S+)\//g;
  for (const [, address = ''] of output.matchAll(found)) if (address.startsWith(prefix)) return address;
  throw new Error(`No address that begins with ${prefix}: ${output}`);
}

export function contract(test: TestFn, setting: () => Setting, bridge: string, subnets: readonly Subnet[]): void {
  test.serial('a container gets an address of each subnet, and its loopback', async (t) => {
    const { runtime } = setting();
    const output = await prints(
      'ip',
      () => runtime.run('/bin/ip', 'addr'),
      (text) => text !== '',
    );
    for (const { prefix } of subnets) t.notThrows(() => addressOf(output, prefix));
    t.regex(output, /inet 127\.0\.0\.1\/8 /);
    t.regex(output, /eth0@\S+ <[^>]*\bUP\b/);
  });

  test.serial('two containers reach each other, and the host', async (t) => {
    const { runtime } = setting();
    const server = await runtime.start('/bin/httpd', '-f', '-p', '80', '-h', '/www');
    const client = await runtime.start('/bin/sleep', '1000');
    try {
      await listens(server, 80);
      const [served, own] = [
        await holds(server, ['/bin/ip', 'addr'], (output) => output !== ''),
        await holds(client, ['/bin/ip', 'addr'], (output) => output !== ''),
      ];
      for (const { prefix, gateway } of subnets) {
        const address = addressOf(served, prefix);
        t.not(addressOf(own, prefix), address);
        for (const other of [address, gateway])
          await holds(client, ['/bin/ping', '-c', '1', '-W', '10', other], (output) => / 0% packet loss/.test(output));
        const url = address.includes(':') ? `http://[${address}]/` : `http://${address}/`;
        await holds(client, ['/bin/wget', '-q', '-O', '-', url], (output) => output === HELLO);
        t.is(setting().machine.run('busybox', 'wget', '-q', '-O', '-', url), HELLO);
      }
    } finally {
      await client.remove();
      await server.remove();
    }
  });

  test.serial('a container reaches the outside under the address of the host', async (t) => {
    const { machine, runtime } = setting();
    // `ip netns` makes mounts, so it must run in the runtime's mount namespace.
    machine.run('ip', 'netns', 'add', 'outside');
    try {
      machine.run('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside');
      machine.run('ip', 'addr', 'add', '203.0.113.1/30', 'dev', 'uplink');
      machine.run('ip', 'link', 'set', 'uplink', 'up');
      machine.run('ip', '-n', 'outside', 'addr', 'add', `${OUTSIDE}/30`, 'dev', 'eth0');
      machine.run('ip', '-n', 'outside', 'link', 'set', 'eth0', 'up');
      const ping = () => runtime.run('/bin/ping', '-c', '1', '-W', '10', OUTSIDE);
      t.regex(await prints('ping', ping, (output) => output !== ''), / 0% packet loss/);
    } finally {
      machine.run('ip', 'link', 'del', 'uplink');
      machine.run('ip', 'netns', 'del', 'outside');
    }
  });

  test.serial('what runs and is removed leaves nothing but the bridge', async (t) => {
    const { machine, runtime } = setting();
    const before = machine.state();
    t.deepEqual(before.links, ['lo', bridge]);
    t.deepEqual(before.files, []);
    const first = await runtime.start('/bin/sleep', '1000');
    const second = await runtime.start('/bin/sleep', '1000');
    t.is(machine.state().links.length, 4);
    await runtime.run('/bin/ip', 'addr');
    await first.remove();
    await second.remove();
    const after = machine.state();
    // ctr calls DEL without a namespace; the reference plugins then leave their masquerading rules behind.
    t.deepEqual(OURS || runtime.name !== 'containerd' ? after : { ...after, rules: before.rules }, before);
  });
}
