/** dummy as a container runtime executes it. */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { needs } from '../support/features.ts';
import { becomeHost } from '../support/host.ts';
import { type Json, Lab } from '../support/lab.ts';
import { ipam, linkContract } from './links/contract.ts';

becomeHost();

const conf: Json = { cniVersion: '1.1.0', name: 'net', type: 'dummy', ipam };

linkContract({ type: 'dummy', needs: 'dummy', conf, hangs: false, another: conf });

needs('dummy')('the container answers at its addresses, and what it sends elsewhere is dropped', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const routes = [{ dst: '0.0.0.0/0' }];
  lab.add({ ...conf, ipam: { ...ipam, routes } }, { sandbox });
  sandbox.run('ip', 'link', 'set', 'lo', 'up');
  for (const address of ['10.1.0.2', 'fd00::2']) t.true(sandbox.reaches(address), address);
  t.false(sandbox.reaches('192.0.2.1', 2));
  // Another sandbox reaches the addresses through a wire of its own: they belong to the container, not to the link.
  const other = lab.sandbox('c2');
  execFileSync('ip', [
    'link',
    'add',
    'w0',
    'netns',
    sandbox.path,
    'type',
    'veth',
    'peer',
    'name',
    'w1',
    'netns',
    other.path,
  ]);
  sandbox.run('ip', 'addr', 'add', '10.9.0.1/24', 'dev', 'w0');
  sandbox.run('ip', 'link', 'set', 'w0', 'up');
  other.run('ip', 'addr', 'add', '10.9.0.2/24', 'dev', 'w1');
  other.run('ip', 'link', 'set', 'w1', 'up');
  other.run('ip', 'route', 'add', '10.1.0.2', 'via', '10.9.0.1');
  t.true(other.reaches('10.1.0.2'));
});

test.serial('without IPAM it is nothing, and says so', (t) => {
  const lab = new Lab(t);
  const { ipam: _, ...plain } = conf;
  const { output } = lab.exec('ADD', plain, { sandbox: lab.sandbox('c1') });
  t.is(output.code, 7);
  t.regex(output.msg ?? '', /"ipam" is missing, dummy interface requires an IPAM configuration/);
});
