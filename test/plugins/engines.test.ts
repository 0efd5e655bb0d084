/**
 * Plugins run on QuickJS, or on Bun if the build had no C compiler (docs/architecture.md, "Three engines"). Each engine
 * accepts what the other has made.
 */
import { execFileSync } from 'node:child_process';
import test from 'ava';
import { linksTo } from '../support/engine-links.ts';
import { becomeHost } from '../support/host.ts';
import { bridgeConf, type Json, Lab, type Output, type Target } from '../support/lab.ts';

becomeHost();

const PORTS = [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }];
const CHAIN: readonly Json[] = [
  bridgeConf({ ipMasq: true }),
  { type: 'portmap', runtimeConfig: { portMappings: PORTS }, snat: true },
  { type: 'firewall' },
  { type: 'tuning', mtu: 1400 },
].map((plugin) => ({ ...plugin, cniVersion: '1.1.0', name: 'net' }));

for (const [maker, other] of [
  ['netloom', 'netloom-cni'],
  ['netloom-cni', 'netloom'],
] as const) {
  test.serial(`what ${maker} has made passes the CHECK of ${other}, and is gone after its DEL`, (t) => {
    const lab = new Lab(t);
    const target: Target = { sandbox: lab.sandbox('c1') };
    const [bin, others] = [linksTo(lab.root, maker), linksTo(lab.root, other)];
    const before = lab.snapshot();
    let result: Output | undefined;
    for (const conf of CHAIN) result = lab.add({ ...conf, ...(result && { prevResult: result }) }, target, { bin });
    t.is(result?.interfaces?.at(-1)?.name, 'eth0');
    for (const conf of CHAIN) {
      const end = lab.exec('CHECK', { ...conf, prevResult: result }, target, { bin: others });
      t.is(end.status, 0, `${conf['type']}: ${end.stdout}${end.stderr}`);
    }
    for (const conf of CHAIN.toReversed()) lab.del({ ...conf, prevResult: result }, target, { bin: others });
    execFileSync('ip', ['link', 'del', 'cni0']); // bridges stay, as those of the reference plugin do
    t.is(lab.snapshot(), before);
  });
}
