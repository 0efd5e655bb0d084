import { chmodSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { confSchema } from '../../src/cni/config.ts';
import { toCniError } from '../../src/cni/error.ts';
import { ipamAdd, ipamCheck, ipamDel, ipamGc, ipamStatus } from '../../src/ipam/delegate.ts';
import { callOf, shown, temporary } from './calls.ts';

/** A main plugin that does not know the keys of its IPAM plugin. */
const main = { schema: confSchema({}) };
const ours = () => true;

function install(directory: string, type: string, script: string): void {
  writeFileSync(`${directory}/${type}`, `#!/bin/sh\n${script}\n`);
  chmodSync(`${directory}/${type}`, 0o755);
}

test('host-local and static run in this process where the file in CNI_PATH is this executable', (t) => {
  const root = temporary(t);
  install(root, 'host-local', 'exit 1');
  install(root, 'static', 'exit 1');
  const local = callOf(
    main,
    root,
    { ipam: { type: 'host-local', subnet: '10.1.0.0/24' }, 'cni.dev/valid-attachments': [] },
    { path: [root] },
  );
  t.deepEqual(shown(ipamAdd(local, ours)), { ips: [{ address: '10.1.0.2/24', gateway: '10.1.0.1' }] });
  t.notThrows(() => ipamCheck(local, ours));
  t.notThrows(() => ipamStatus(local, ours));
  const leases = () => readdirSync(`${root}/var/lib/cni/networks/net`).filter((name) => name.startsWith('10.'));
  t.deepEqual(leases(), ['10.1.0.2']);
  ipamDel(local, ours);
  t.deepEqual(leases(), []);
  ipamAdd(local, ours);
  ipamGc(local, ours);
  t.deepEqual(leases(), []);
  const fixed = callOf(
    main,
    root,
    { ipam: { type: 'static', addresses: [{ address: '10.1.0.5/24' }] } },
    { path: [root] },
  );
  t.deepEqual(shown(ipamAdd(fixed, ours)), { ips: [{ address: '10.1.0.5/24' }] });
});

test('any other plugin is executed with the same environment and configuration, and its result is read', (t) => {
  const root = temporary(t);
  install(
    root,
    'dhcp',
    `cat > ${root}/stdin; echo "$CNI_COMMAND $CNI_CONTAINERID" >> ${root}/calls; [ $CNI_COMMAND = ADD ] && echo '{"cniVersion":"0.4.0","ips":[{"version":"4","address":"10.7.0.2/24"}]}'; true`,
  );
  const call = callOf(main, root, { ipam: { type: 'dhcp', extra: [1] } }, { path: ['/nowhere', root] });
  t.deepEqual(shown(ipamAdd(call, ours)), { ips: [{ address: '10.7.0.2/24' }] });
  t.is(readFileSync(`${root}/stdin`, 'utf8'), call.stdin);
  for (const verb of [ipamCheck, ipamDel, ipamGc, ipamStatus]) verb(call, ours);
  t.is(readFileSync(`${root}/calls`, 'utf8'), 'ADD c1\nCHECK c1\nDEL c1\nGC c1\nSTATUS c1\n');
});

test('a host-local that is not this executable is executed: it may be the reference', (t) => {
  const root = temporary(t);
  install(root, 'host-local', `touch ${root}/executed; echo '{"cniVersion":"1.0.0"}'`);
  ipamAdd(callOf(main, root, { ipam: { type: 'host-local' } }, { path: [root] }));
  t.true(existsSync(`${root}/executed`));
});

test('an error of another plugin is passed on whole', (t) => {
  const root = temporary(t);
  install(root, 'other', `echo '{"code":142,"msg":"no luck","details":"at all"}'; exit 1`);
  const error = t.throws(() => ipamAdd(callOf(main, root, { ipam: { type: 'other' } }, { path: [root] })));
  t.deepEqual(toCniError(error, '1.1.0'), { cniVersion: '1.1.0', code: 142, msg: 'no luck', details: 'at all' });
});

test('a plugin that is missing is named, with the places looked at', (t) => {
  const root = temporary(t);
  const call = callOf(main, root, { ipam: { type: 'host-local', subnet: '10.1.0.0/24' } }, { path: [root] });
  t.throws(() => ipamAdd(call, ours), { message: `failed to find plugin "host-local" in path [${root}]` });
  t.throws(() => ipamDel(callOf(main, root, {}), ours), { message: 'failed to load netconf: "ipam" is missing' });
});
