/**
 * GC when one attachment cannot be removed: that one keeps its address, the others lose theirs, and GC reports what is
 * left.
 */
import './faulty-ffi.ts';
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import test, { type ExecutionContext } from 'ava';
import { becomeHost, files, ip } from '../support/host.ts';
import { bridgeConf, type Json, Lab } from '../support/lab.ts';
import { makeWire } from './cable.ts';
import { call, eachCall, faulty, whatFailed } from './rounds.ts';

becomeHost();

/** host-local runs in process if CNI_PATH leads to the executable that runs here, which is Node. */
function labWithIpam(t: ExecutionContext): Lab {
  const lab = new Lab(t);
  mkdirSync(`${lab.root}/bin`);
  symlinkSync(process.execPath, `${lab.root}/bin/host-local`);
  return lab;
}

/** The containers that have a lease. */
function holders({ root }: Lab): string[] {
  const leases = files(root).filter((file) => /^var\/lib\/cni\/networks\/[^/]*\/10\./.test(file));
  return leases.map((file) => /: (\S+)/.exec(file)?.[1]?.replace(/\\r.*/, '') ?? file).sort();
}

/** Long enough that a mark holds only hashes of the network and the container. */
const LONG = 'x'.repeat(110);

for (const [title, network, suffix] of [
  ['the owner in a mark', 'net', ''],
  ['an owner too long for a mark', `net-${LONG}`, `-${LONG}`],
] as const) {
  test.serial(
    `GC of bridge, with ${title}: whichever message is lost, the addresses of whoever is gone are free`,
    (t) => {
      const lab = labWithIpam(t);
      const conf = bridgeConf({ name: network, ipMasq: true });
      const [stuck, gone] = ['stuck', 'gone'].map((name) => ({
        sandbox: lab.sandbox(name),
        containerId: `${name}${suffix}`,
      }));
      if (stuck === undefined || gone === undefined) return t.fail();
      const ends = () => ip('link').filter(({ ifname }) => `${ifname}`.startsWith('veth')).length;
      let keptOne = 0;
      const points = eachCall((n) => {
        for (const target of [stuck, gone]) t.is(call(lab, 'ADD', conf, target).status, 0);
        gone.sandbox.run('ip', 'link', 'del', 'eth0');
        const collected = { ...conf, 'cni.dev/valid-attachments': [] };
        const { calls, end } = faulty('fail', n, () => call(lab, 'GC', collected, {}), new Set(['sendto']));
        const what = whatFailed(calls, n, end);
        if (ends() > 0) {
          t.is(end.status, 1, what);
          t.true(holders(lab).includes(stuck.containerId), what);
          if (!holders(lab).includes(gone.containerId)) keptOne++;
        }
        t.is(call(lab, 'GC', collected, {}).status, 0, what);
        t.deepEqual(holders(lab), [], what);
        return calls;
      });
      t.true(points > 5, `${points} points`);
      t.true(keptOne > 0, 'a link that could not be removed kept the addresses of others');
    },
  );
}

test.serial('GC of host-device: a device whose name is taken on the host keeps its addresses alone', (t) => {
  const lab = labWithIpam(t);
  const conf: Json = {
    cniVersion: '1.1.0',
    name: 'net',
    type: 'host-device',
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.1.0.0/24' }]] },
  };
  makeWire();
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  t.is(call(lab, 'ADD', { ...conf, device: 'm0' }, { sandbox: one }).status, 0);
  t.is(call(lab, 'ADD', { ...conf, device: 'm1' }, { sandbox: two }).status, 0);
  execFileSync('ip', ['link', 'add', 'm0', 'type', 'bridge']);
  const collected = { ...conf, device: 'm0', 'cni.dev/valid-attachments': [] };
  const end = call(lab, 'GC', collected, {});
  t.is(end.status, 1);
  t.regex(end.stdout, /m0/);
  t.deepEqual(holders(lab), ['c1']);
  t.is(two.ip('link').length, 1);
  execFileSync('ip', ['link', 'del', 'm0']);
  t.is(call(lab, 'GC', collected, {}).status, 0);
  t.deepEqual(holders(lab), []);
});

test.serial('an IPAM plugin of somebody else gets the attachment that is left among the valid ones', (t) => {
  const lab = new Lab(t);
  mkdirSync(`${lab.root}/bin`);
  const told = `${lab.root}/told`;
  const result = JSON.stringify({ cniVersion: '1.1.0', ips: [{ address: '10.7.0.9/24' }] });
  const script = `#!/bin/sh\ncat > ${told}\n[ "$CNI_COMMAND" = ADD ] && echo '${result}'\nexit 0\n`;
  writeFileSync(`${lab.root}/bin/theirs`, script, { mode: 0o755 });
  const conf = { cniVersion: '1.1.0', name: 'net', type: 'host-device', device: 'm0', ipam: { type: 'theirs' } };
  makeWire();
  t.is(call(lab, 'ADD', conf, { sandbox: lab.sandbox('c1') }).status, 0);
  execFileSync('ip', ['link', 'add', 'm0', 'type', 'bridge']);
  const valid = [{ containerID: 'c5', ifname: 'eth0' }];
  t.is(call(lab, 'GC', { ...conf, 'cni.dev/valid-attachments': valid }, {}).status, 1);
  const all = [...valid, { containerID: 'c1', ifname: 'eth0' }];
  t.deepEqual(JSON.parse(readFileSync(told, 'utf8')), {
    ...conf,
    'cni.dev/valid-attachments': all,
    'cni.dev/attachments': all,
  });
});
