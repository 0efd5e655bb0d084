/** none as a container runtime executes it. */
import test from 'ava';
import { becomeHost } from '../support/host.ts';
import { bridgeConf, Lab } from '../support/lab.ts';

becomeHost();

const conf = { cniVersion: '1.1.0', name: 'nothing', type: 'none' };
const isUp = (flags: unknown) => (flags as string[]).includes('UP');

test.serial('ADD sets lo up and nothing else, CHECK sees it, DEL sets it down, twice', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  const lo = () => isUp(sandbox.ip('link', 'show', 'lo')[0]?.['flags']);
  const result = lab.add(conf, { sandbox });
  t.true(lo());
  t.is(sandbox.ip('link').length, 1);
  t.deepEqual(result.interfaces, [{ name: 'lo', mac: '00:00:00:00:00:00', mtu: 65536, sandbox: sandbox.path }]);
  t.deepEqual(
    result.ips?.map(({ address }) => address),
    ['127.0.0.1/8', '::1/128'],
  );
  t.true(sandbox.reaches('127.0.0.1'));
  lab.check(conf, { sandbox }, result);
  sandbox.run('ip', 'link', 'set', 'lo', 'down');
  const { output } = lab.exec('CHECK', { ...conf, prevResult: result }, { sandbox });
  t.like(output, { code: 110, msg: '"lo" in the container is down' });
  sandbox.run('ip', 'link', 'set', 'lo', 'up');
  for (let i = 0; i < 2; i++) lab.del(conf, { sandbox });
  t.false(lo());
  t.is(lab.snapshot(), before);
});

test.serial('"loopback": false leaves even lo down', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const silent = { ...conf, loopback: false };
  const result = lab.add(silent, { sandbox });
  t.deepEqual(result, { cniVersion: '1.1.0' });
  t.false(isUp(sandbox.ip('link', 'show', 'lo')[0]?.['flags']));
  t.false(sandbox.reaches('127.0.0.1', 2));
  lab.check(silent, { sandbox }, result);
  lab.del(silent, { sandbox });
});

test.serial('DEL leaves lo up where it was up before', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  sandbox.run('ip', 'link', 'set', 'lo', 'up');
  lab.add(conf, { sandbox });
  lab.del(conf, { sandbox });
  t.true(sandbox.reaches('127.0.0.1'));
});

test.serial('another network may be added later, and goes without it', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  lab.add(conf, { sandbox });
  lab.add(bridgeConf(), { sandbox });
  t.true(sandbox.reaches('10.1.0.1'));
  lab.del(bridgeConf(), { sandbox });
  t.true(sandbox.reaches('127.0.0.1'));
  lab.del(conf, { sandbox });
});

test.serial('DEL without the namespace succeeds, GC and STATUS have nothing to do', (t) => {
  const lab = new Lab(t);
  const before = lab.snapshot();
  lab.add(conf, { sandbox: lab.sandbox('c1') });
  lab.del(conf, { containerId: 'c1', netns: '' });
  t.is(lab.snapshot(), before);
  lab.add(conf, { sandbox: lab.sandbox('c2') });
  lab.gc(conf, []);
  t.is(lab.snapshot(), before);
  t.is(lab.exec('STATUS', conf).status, 0);
});

test.serial('what it cannot do is refused before anything is done', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  t.like(lab.exec('ADD', { ...conf, ipam: { type: 'host-local' } }, { sandbox }).output, {
    code: 2,
    msg: 'failed to load netconf: "ipam" has the type "host-local", expected no "ipam": "none" makes no interface for an address',
  });
  t.like(lab.exec('ADD', { ...conf, loopback: 'no' }, { sandbox }).output, { code: 7 });
  t.like(lab.exec('ADD', conf, { containerId: 'c1', netns: '/proc/self/ns/net' }).output, { code: 8 });
  t.is(lab.snapshot(), before);
  t.false(isUp(sandbox.ip('link', 'show', 'lo')[0]?.['flags']));
});
