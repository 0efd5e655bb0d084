/**
 * The chain that podman, nerdctl and kubeadm write, with a bandwidth limit at its end, run as a runtime does. Netloom
 * does it all and executes no other program.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import test from 'ava';
import { answer, ask } from '../support/conversation.ts';
import { becomeHost } from '../support/host.ts';
import { BIN, bridgeConf, type Json, Lab, type Output, type Target } from '../support/lab.ts';

becomeHost();

const chain: readonly Json[] = [
  bridgeConf({ ipMasq: true, hairpinMode: true }),
  {
    type: 'portmap',
    capabilities: { portMappings: true },
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
  },
  { type: 'firewall', ingressPolicy: 'same-bridge' },
  { type: 'tuning', mtu: 1400, sysctl: { 'net.core.somaxconn': '77' }, capabilities: { mac: true } },
  { type: 'bandwidth', ingressRate: 1e8, ingressBurst: 8e6, egressRate: 1e8, egressBurst: 8e6 },
].map((plugin) => ({ cniVersion: '1.1.0', name: 'net', ...plugin }));

/** Calls a plugin under strace. @returns its result; throws if the plugin executed another program */
function watched(lab: Lab, command: string, conf: Json, target: Target, result?: Output): Output {
  const log = `${lab.root}/strace`;
  const wrap = ['strace', '-f', '-qq', '-o', log, '-e', 'trace=execve,execveat', '-e', 'signal=none'];
  const given = { ...conf, ...(result && { prevResult: result }) };
  const end = lab.exec(command, given, target, { wrap });
  const executed = [...readFileSync(log, 'utf8').matchAll(/execve(?:at)?\("([^"]*)"/g)].map(([, path = '']) => path);
  rmSync(log);
  if (end.status !== 0) throw new Error(`${command} of ${conf['type']}: ${end.stdout}${end.stderr}`);
  // If there is no agent, the shim executes netloom-cni.
  const foreign = executed.filter((path) => dirname(path) !== BIN && path !== join(dirname(BIN), 'netloom-cni'));
  if (executed[0] !== `${BIN}/${conf['type']}` || foreign.length > 0)
    throw new Error(`${command} of ${conf['type']} has executed ${executed}`);
  return end.output;
}

test.serial(
  'bridge, portmap, firewall, tuning, bandwidth: ADD, CHECK, DEL and GC execute nothing and leave nothing',
  (t) => {
    const lab = new Lab(t);
    const client = { sandbox: lab.sandbox('client') };
    let other: Output | undefined;
    for (const conf of chain.filter(({ type }) => type !== 'portmap')) other = watched(lab, 'ADD', conf, client, other);
    const before = lab.snapshot();
    const target = { sandbox: lab.sandbox('c1') };
    const add = () => {
      let result: Output | undefined;
      for (const conf of chain) result = watched(lab, 'ADD', conf, target, result);
      return result as Output;
    };
    const result = add();
    t.deepEqual(
      result.interfaces?.map(({ name, mtu }) => `${name.replace(/[0-9a-f]{11}$/, '')} ${mtu}`),
      ['cni0 1500', 'veth 1500', 'eth0 1400', 'ifb 1500'],
    );
    for (const conf of chain) watched(lab, 'CHECK', conf, target, result);
    t.true(client.sandbox.reaches('10.1.0.3'));
    t.true(target.sandbox.reaches('10.1.0.1'));

    for (const conf of chain.toReversed()) watched(lab, 'DEL', conf, target, result);
    t.is(lab.snapshot(), before);
    for (const conf of chain.toReversed()) watched(lab, 'DEL', conf, target);
    t.is(lab.snapshot(), before);

    // The runtime has forgotten the container, and calls GC.
    add();
    const valid = [{ containerID: 'client', ifname: 'eth0' }];
    for (const conf of chain) watched(lab, 'GC', { ...conf, 'cni.dev/valid-attachments': valid }, {});
    t.is(lab.snapshot(), before);
    for (const conf of chain) watched(lab, 'STATUS', conf, {});
  },
);

test.serial('the published port of the chain answers another machine', async (t) => {
  const lab = new Lab(t);
  const target = { sandbox: lab.sandbox('c1') };
  let result: Output | undefined;
  for (const conf of chain) result = lab.add({ ...conf, ...(result && { prevResult: result }) }, target);
  const outside = lab.sandbox('outside');
  execFileSync('bash', [
    '-ec',
    `ip link add out0 type veth peer name eth0 netns ${outside.path}; ip addr add 192.0.2.1/24 dev out0; ip link set out0 up`,
  ]);
  outside.run('bash', '-ec', 'ip addr add 192.0.2.2/24 dev eth0; ip link set eth0 up');
  await answer(t, target.sandbox, 'c1', 80);
  t.is(ask(outside, '192.0.2.1', 8080), 'c1 192.0.2.2');
});
