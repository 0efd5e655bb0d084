/** What macvlan gives a container: a link of its own in the network of the host's uplink. */
import type { TestFn } from 'ava';
import { addressOf, type Setting } from './contract.ts';
import { OURS } from './machine.ts';
import { holds } from './prints.ts';

/** The router of that network, a machine apart from the host and the containers. */
const ROUTER = '10.86.3.1';

export function macvlan(test: TestFn, setting: () => Setting): void {
  if (!OURS) return;
  test.serial('macvlan: two containers reach the router beyond the uplink of the host, and each other', async (t) => {
    const { machine, runtime } = setting();
    const before = machine.state();
    machine.run('ip', 'netns', 'add', 'router');
    try {
      machine.run('ip', 'link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'lan', 'netns', 'router');
      machine.run('ip', '-n', 'router', 'addr', 'add', `${ROUTER}/24`, 'dev', 'lan');
      machine.run('ip', '-n', 'router', 'link', 'set', 'lan', 'up');
      machine.run('ip', 'addr', 'add', '10.86.3.254/24', 'dev', 'uplink');
      machine.run('ip', 'link', 'set', 'uplink', 'up');
      // Without "master" in the conflist, the master is the link of the default route.
      machine.run('ip', 'route', 'add', 'default', 'via', ROUTER);
      const on = runtime.on('40-macvlan.conflist');
      const one = await on.start('/bin/httpd', '-f', '-p', '80', '-h', '/www');
      const other = await on.start('/bin/sleep', '1000');
      try {
        const shown = await holds(one, ['/bin/ip', 'addr'], (output) => output.includes(' 10.86.3.'));
        const address = addressOf(shown, '10.86.3.');
        const page = ['/bin/wget', '-q', '-O', '-', `http://${address}/`];
        await holds(other, page, (output) => output === 'hello from the other container');
        await holds(other, ['/bin/ping', '-c', '1', '-W', '5', ROUTER], (output) => output.includes(' 0% packet loss'));
        // The router sees the container's own MAC.
        machine.run('ip', 'netns', 'exec', 'router', 'busybox', 'wget', '-q', '-O', '-', `http://${address}/`);
        const mac = /link\/ether (\S+)/.exec(shown)?.[1] ?? 'none';
        t.true(machine.run('ip', '-n', 'router', 'neigh', 'show').includes(mac), mac);
      } finally {
        await other.remove();
        await one.remove();
      }
    } finally {
      machine.run('ip', 'link', 'del', 'uplink');
      machine.run('ip', 'netns', 'del', 'router');
    }
    t.deepEqual(machine.state(), before);
  });
}
