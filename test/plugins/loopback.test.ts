/** loopback as a container runtime executes it. */
import test from 'ava';
import { becomeHost, ip } from '../support/host.ts';
import { Lab } from '../support/lab.ts';

becomeHost();

const conf = { cniVersion: '1.1.0', name: 'lo', type: 'loopback' };
const isUp = (flags: unknown) => (flags as string[]).includes('UP');

test.serial('ADD sets lo up and tells its addresses, CHECK sees it, DEL sets it down, twice', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const lo = () => isUp(sandbox.ip('link', 'show', 'lo')[0]?.['flags']);
  t.false(lo());
  const result = lab.add(conf, { sandbox, ifname: 'lo' });
  t.true(lo());
  t.deepEqual(result.interfaces, [{ name: 'lo', mac: '00:00:00:00:00:00', mtu: 65536, sandbox: sandbox.path }]);
  t.deepEqual(result.ips, [
    { interface: 0, address: '127.0.0.1/8' },
    { interface: 0, address: '::1/128' },
  ]);
  lab.check(conf, { sandbox, ifname: 'lo' }, result);
  sandbox.run('ip', 'link', 'set', 'lo', 'down');
  t.is(lab.exec('CHECK', { ...conf, prevResult: result }, { sandbox, ifname: 'lo' }).output.code, 110);
  for (let i = 0; i < 2; i++) lab.del(conf, { sandbox, ifname: 'lo' });
  t.false(lo());
});

test.serial('ADD twice, and with another name, is no error: there is one lo', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  t.deepEqual(lab.add(conf, { sandbox }), lab.add(conf, { sandbox, ifname: 'lo' }));
});

test.serial('what a plugin before it in the chain answered is passed on', (t) => {
  const lab = new Lab(t);
  const prevResult = {
    cniVersion: '1.1.0',
    interfaces: [{ name: 'eth0', mac: '02:00:00:00:00:01', sandbox: '/x' }],
    ips: [{ interface: 0, address: '10.1.0.2/24', gateway: '10.1.0.1' }],
  };
  t.deepEqual(lab.add({ ...conf, prevResult }, { sandbox: lab.sandbox('c1') }), prevResult);
});

test.serial('DEL without the namespace succeeds, GC and STATUS have nothing to do, and the host keeps its lo', (t) => {
  const lab = new Lab(t);
  lab.del(conf, { containerId: 'c1', netns: '' });
  lab.del(conf, { containerId: 'c1', netns: `${lab.root}/none` });
  lab.gc(conf, []);
  t.is(lab.exec('STATUS', conf).status, 0);
  lab.del(conf, { containerId: 'c1', netns: '/proc/self/ns/net' });
  t.true(isUp(ip('link', 'show', 'lo')[0]?.['flags']));
});
