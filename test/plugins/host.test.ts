/** host as a container runtime executes it, in a namespace that plays the host. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { becomeHost, ip } from '../support/host.ts';
import { Lab } from '../support/lab.ts';

becomeHost();

const conf = { cniVersion: '1.1.0', name: 'outside', type: 'host' };
const target = { containerId: 'c1', netns: '/proc/self/ns/net' };

function withUplink(lab: Lab): void {
  lab.sandbox('far');
  execFileSync('ip', ['link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'peer']);
  for (const address of ['192.0.2.7/24', '2001:db8::7/64'])
    execFileSync('ip', ['addr', 'add', address, 'dev', 'uplink', ...(address.includes(':') ? ['nodad'] : [])]);
  execFileSync('ip', ['link', 'set', 'uplink', 'up']);
}

test.serial('the result lists the interfaces and addresses of the host; nothing is touched', (t) => {
  const lab = new Lab(t);
  withUplink(lab);
  const before = lab.snapshot();
  const result = lab.add({ ...conf, dns: { nameservers: ['192.0.2.53'] } }, target);
  const links = ip<{ ifname: string; address: string; mtu: number }>('link').filter(({ ifname }) => ifname !== 'lo');
  t.deepEqual(
    result.interfaces,
    links.map(({ ifname, address, mtu }) => ({ name: ifname, mac: address, mtu })),
  );
  const uplink = links.findIndex(({ ifname }) => ifname === 'uplink');
  t.deepEqual(result.ips, [
    { interface: uplink, address: '192.0.2.7/24' },
    { interface: uplink, address: '2001:db8::7/64' },
  ]);
  t.deepEqual(result.dns, { nameservers: ['192.0.2.53'] });
  lab.check(conf, target, result);
  for (let i = 0; i < 2; i++) lab.del(conf, target);
  t.is(lab.snapshot(), before);
});

test.serial('a namespace of its own is refused with a sentence that says why, by CHECK too', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  const said = {
    code: 8,
    msg: `Cannot attach the container "c1" to the host's network: CNI_NETNS "${sandbox.path}" is a network namespace of its own, and what runs in it cannot be moved`,
  };
  t.like(lab.exec('ADD', conf, { sandbox }).output, said);
  t.like(lab.exec('CHECK', { ...conf, prevResult: { cniVersion: '1.1.0' } }, { sandbox }).output, said);
  t.like(lab.exec('ADD', conf, { containerId: 'c1', netns: `${lab.root}/none` }).output, { code: 8 });
  t.like(lab.exec('ADD', conf, { containerId: 'c1', netns: '/etc/passwd' }).output, { code: 8 });
  t.like(lab.exec('ADD', { ...conf, ipam: { type: 'host-local' } }, target).output, { code: 2 });
  t.is(lab.snapshot(), before);
});

test.serial('DEL, whatever its namespace, and GC leave the host as it is; STATUS is well', (t) => {
  const lab = new Lab(t);
  withUplink(lab);
  const before = lab.snapshot();
  lab.add(conf, target);
  for (const netns of ['', `${lab.root}/none`, '/proc/self/ns/net']) lab.del(conf, { containerId: 'c1', netns });
  t.is(lab.snapshot(), before);
  lab.add(conf, target);
  lab.gc(conf, [{ containerID: 'c1', ifname: 'eth0' }]);
  t.not(lab.snapshot(), before, 'the record of a valid attachment stays');
  lab.gc(conf, []);
  t.is(lab.snapshot(), before);
  t.is(lab.exec('STATUS', conf).status, 0);
});
