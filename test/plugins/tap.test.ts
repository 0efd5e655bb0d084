/**
 * tap as a container runtime executes it. This process plays the programs at the other ends, and carries frames between
 * two links.
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import test from 'ava';
import { adapter } from '#ffi';
import { O, open } from '../../src/ffi/file.ts';
import { cString, libc } from '../../src/ffi/libc.ts';
import { openNetns } from '../../src/netns/namespace.ts';
import { withNetns } from '../../src/netns/within.ts';
import { becomeHost, type Sandbox } from '../support/host.ts';
import { BIN, type Json, Lab } from '../support/lab.ts';
import { eth0, ipam, type LinkJson } from './links/contract.ts';

becomeHost();

const conf: Json = { cniVersion: '1.1.0', name: 'net', type: 'tap', ipam };
const { ioctl } = adapter.load({ ioctl: { args: ['i32', 'size', 'ptr'], returns: 'i32' } });

test.serial('two containers reach each other by the programs that have the other ends', async (t) => {
  const lab = new Lab(t);
  const [one, two] = [lab.sandbox('c1'), lab.sandbox('c2')];
  const before = lab.snapshot();
  const result = lab.add(conf, { sandbox: one });
  lab.add(conf, { sandbox: two });
  t.deepEqual(result.interfaces, [
    { name: 'eth0', mac: eth0(one)?.address ?? '', mtu: eth0(one)?.mtu ?? 0, sandbox: one.path },
  ]);
  t.is(eth0(one)?.ifalias, 'netloom:net/c1/eth0');
  t.is(eth0(one)?.linkinfo?.info_data?.['type'], 'tap');
  {
    using left = attachTo(one);
    using right = attachTo(two);
    for (const address of ['10.1.0.3', 'fd00::3']) {
      const ping = spawn('nsenter', [`--net=${one.path}`, 'ping', '-c', '3', '-i', '0.2', '-W', '5', '-q', address]);
      const ended = new Promise<number | null>((resolve) => ping.on('close', resolve));
      let status: number | null | undefined;
      void ended.then((code) => (status = code));
      while (status === undefined) {
        carry(left.number, right.number);
        carry(right.number, left.number);
        await new Promise((resolve) => setImmediate(resolve));
      }
      t.is(status, 0, address);
    }
  }
  lab.check(conf, { sandbox: one }, result);
  for (const sandbox of [one, two]) lab.del(conf, { sandbox });
  t.is(one.ip('link').length, 1);
  t.is(lab.snapshot(), before);
  lab.del(conf, { sandbox: one });
  t.is(lab.snapshot(), before);
});

test.serial('mtu, owner, group, multiQueue and the bridge of the container', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  sandbox.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
  const wanted = { ...conf, mtu: 1400, owner: 1234, group: 0, multiQueue: true, bridge: 'br0' };
  const result = lab.add(wanted, { sandbox });
  const link = eth0(sandbox) as (LinkJson & { master?: string }) | undefined;
  t.is(link?.mtu, 1400);
  t.is(result.interfaces?.[0]?.mtu, 1400);
  t.is(link?.master, 'br0');
  const data = link?.linkinfo?.info_data;
  t.is(String(data?.['user']), '1234');
  t.true(['0', 'root'].includes(String(data?.['group'])));
  t.is(data?.['multi_queue'], true);
  t.is(data?.['persist'], true);
  lab.check(wanted, { sandbox }, result);
  const { output } = lab.exec('CHECK', { ...wanted, owner: 99, prevResult: result }, { sandbox });
  t.is(output.code, 110);
  t.regex(output.msg ?? '', /"eth0" in the container has the tap user 1234, expected 99/);
  lab.del(wanted, { sandbox });
  t.is(sandbox.ip('link').length, 2);
});

test.serial('without an owner it has none, and one queue', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  lab.add(conf, { sandbox });
  const data = eth0(sandbox)?.linkinfo?.info_data;
  t.is(data?.['user'], undefined);
  t.is(data?.['group'], undefined);
  t.not(data?.['multi_queue'], true);
});

test.serial('the MAC: runtimeConfig over args.cni over CNI_ARGS over "mac"', (t) => {
  const lab = new Lab(t);
  const [own, inArgs, inCni, inRuntime] = [1, 2, 3, 4].map((n) => `02:00:00:00:00:0${n}`);
  const { ipam: _, ...plain } = conf;
  let count = 0;
  const mac = (more: Json, args?: string) => {
    const sandbox = lab.sandbox(`c${count++}`);
    const result = lab.add({ ...plain, ...more }, { sandbox, ...(args !== undefined && { args }) });
    t.is(result.interfaces?.[0]?.mac, eth0(sandbox)?.address);
    return eth0(sandbox)?.address;
  };
  const [args, runtimeConfig] = [{ cni: { mac: inCni } }, { mac: inRuntime }];
  t.is(mac({ mac: own }), own);
  t.is(mac({ mac: own }, `MAC=${inArgs}`), inArgs);
  t.is(mac({ mac: own, args }, `MAC=${inArgs}`), inCni);
  t.is(mac({ mac: own, args, runtimeConfig }, `MAC=${inArgs}`), inRuntime);
});

test.serial('what it cannot do is refused before any change', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  sandbox.run('ip', 'link', 'add', 'w0', 'type', 'veth', 'peer', 'name', 'w1');
  const before = lab.snapshot();
  for (const [more, code, says] of [
    [{ bridge: 'nope' }, 112, /Cannot find the bridge "nope" in the container/],
    [{ bridge: 'w0' }, 111, /"w0" in the container is not a bridge/],
    [{ mtu: 67 }, 7, /"mtu" is 67, expected 0 or at least 68/],
    [{ mac: '01:00:00:00:00:00' }, 7, /"mac" is "01:00:00:00:00:00", expected the MAC of one station/],
    [{ owner: -1 }, 7, /"owner" is -1/],
  ] as const) {
    const { output } = lab.exec('ADD', { ...conf, ...more }, { sandbox });
    t.is(output.code, code);
    t.regex(output.msg ?? '', says);
  }
  // Whether this kernel accepts a context at all depends on its security modules.
  const context = 'system_u:system_r:container_t:s0';
  if (spawnSync('bash', ['-c', `printf ${context} > /proc/self/attr/current`]).status !== 0) {
    const { output } = lab.exec('ADD', { ...conf, selinuxContext: context }, { sandbox });
    t.is(output.code, 105);
    t.regex(output.msg ?? '', /Cannot take the SELinux context "system_u:system_r:container_t:s0"/);
  }
  t.is(sandbox.ip('link').length, 3);
  t.is(lab.snapshot(), before);
});

test.serial('a second ADD fails; DEL and GC without the namespace free the addresses', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const before = lab.snapshot();
  lab.add(conf, { sandbox });
  t.is(lab.exec('ADD', conf, { sandbox }).output.code, 111);
  t.is(lab.exec('DEL', { ...conf, name: 'other' }, { sandbox }).status, 0);
  t.is(sandbox.ip('link').length, 2);
  lab.gc(conf, []);
  t.is(lab.snapshot(), before);
  lab.del(conf, { sandbox, netns: '' });
  t.is(lab.snapshot(), before);
  t.is(lab.exec('STATUS', conf).status, 0);
});

test.serial('no program of others is executed', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const trace = `${lab.root}/trace`;
  lab.add(
    { ...conf, multiQueue: true },
    { sandbox },
    { wrap: ['strace', '-f', '-qqq', '-e', 'trace=execve', '-o', trace] },
  );
  const executed = readFileSync(trace, 'utf8').match(/execve\("[^"]*"/g) ?? [];
  t.true(executed.length > 0);
  t.deepEqual(
    executed.filter((call) => !call.startsWith(`execve("${dirname(BIN)}/`)),
    [],
  );
});

/** Opens the other end of a container's link, as a virtual machine does. */
function attachTo(sandbox: Sandbox) {
  using netns = openNetns(sandbox.path);
  return withNetns(netns, () => {
    const fd = open('/dev/net/tun', O.RDWR | O.NONBLOCK);
    const request = new Uint8Array(40);
    request.set(cString('eth0'));
    new DataView(request.buffer).setUint16(16, 0x1002, true); // IFF_TAP, IFF_NO_PI
    if (ioctl(fd.number, 0x400454ca, request) < 0) throw new Error(`Cannot attach to the tap link of ${sandbox.name}`);
    return fd;
  });
}

/** Carries all waiting frames from one end to the other. */
function carry(from: number, to: number): void {
  const frame = new Uint8Array(65536);
  for (;;) {
    const length = libc.read(from, frame, frame.length);
    if (length <= 0) return;
    libc.write(to, frame, length);
  }
}
