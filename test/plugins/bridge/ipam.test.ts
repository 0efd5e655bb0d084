/**
 * Third-party IPAM plugins: they are executed as the specification says, their results are used, and their errors are
 * passed on.
 */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import test from 'ava';
import { becomeHost, ip } from '../../support/host.ts';
import { BIN, bridgeConf, type Json, Lab } from '../../support/lab.ts';

becomeHost();

const RESULT = {
  cniVersion: '1.0.0',
  ips: [{ address: '10.7.0.9/24', gateway: '10.7.0.1' }],
  routes: [{ dst: '10.8.0.0/16' }],
};

/** A directory for CNI_PATH with our plugins and a third-party IPAM plugin that records its input. */
function withIpam(lab: Lab, script: string): { conf: Json; path: string; told(): string } {
  const path = `${lab.root}/bin`;
  mkdirSync(path);
  for (const type of ['bridge', 'host-local']) symlinkSync(`${BIN}/${type}`, `${path}/${type}`);
  const told = `${lab.root}/told`;
  writeFileSync(
    `${path}/theirs`,
    `#!/bin/sh\n{ echo "$CNI_COMMAND $CNI_CONTAINERID $CNI_IFNAME $CNI_NETNS $CNI_PATH $CNI_ARGS"; cat; echo; } >> ${told}\n${script}\n`,
    { mode: 0o755 },
  );
  writeFileSync(told, '');
  return {
    conf: bridgeConf({ ipam: { type: 'theirs', colour: 'blue' } }),
    path,
    told: () => readFileSync(told, 'utf8'),
  };
}

const answer = (value: unknown) => `[ "$CNI_COMMAND" = ADD ] && echo '${JSON.stringify(value)}'; exit 0`;

test.serial('it gets the environment and the configuration as they came, and its result is used', (t) => {
  const lab = new Lab(t);
  const { conf, path, told } = withIpam(lab, answer(RESULT));
  const sandbox = lab.sandbox('c1');
  const target = { sandbox, args: 'IgnoreUnknown=1;K8S_POD_NAME=web' };
  const result = lab.add(conf, target, { path });
  t.deepEqual(result.ips, [{ interface: 2, address: '10.7.0.9/24', gateway: '10.7.0.1' }]);
  t.deepEqual(result.routes, [{ dst: '10.8.0.0/16' }, { dst: '0.0.0.0/0', gw: '10.7.0.1' }]);
  const call = (command: string, stdin: Json) =>
    `${command} c1 eth0 ${sandbox.path} ${path} IgnoreUnknown=1;K8S_POD_NAME=web\n${JSON.stringify(stdin)}\n`;
  const checked = { ...conf, prevResult: result };
  t.is(lab.exec('CHECK', checked, target, { path }).status, 0);
  t.is(lab.exec('DEL', checked, target, { path }).status, 0);
  t.is(told(), call('ADD', conf) + call('CHECK', checked) + call('DEL', checked));
});

test.serial('its error is passed on whole, and nothing is left', (t) => {
  const lab = new Lab(t);
  const error = { cniVersion: '1.1.0', code: 142, msg: 'no more blue addresses', details: 'try green' };
  const { conf, path } = withIpam(lab, `echo '${JSON.stringify(error)}'; exit 3`);
  const { status, output } = lab.exec('ADD', conf, { sandbox: lab.sandbox('c1') }, { path });
  t.is(status, 1);
  t.deepEqual({ ...output }, error);
  t.deepEqual(
    ip('link').map(({ ifname }) => ifname),
    ['lo'],
  );
});

test.serial('one that dies without a word is named', (t) => {
  const lab = new Lab(t);
  const { conf, path } = withIpam(lab, 'echo "out of paint" >&2; exit 7');
  const { output } = lab.exec('ADD', conf, { sandbox: lab.sandbox('c1') }, { path });
  t.is(output.code, 109);
  t.regex(output.msg ?? '', /theirs" for ADD: it left with status 7, after saying "out of paint"/);
});

test.serial('one that is not there, or gives nothing, is told of by the key that names it', (t) => {
  const lab = new Lab(t);
  const sandbox = lab.sandbox('c1');
  const missing = lab.exec('ADD', bridgeConf({ ipam: { type: 'host-locl' } }), { sandbox }).output;
  t.is(missing.details, `"ipam.type" names it; netloom's own are "host-local" and "static"`);
  const silent = lab.exec('ADD', bridgeConf({ ipam: { type: 'static' } }), { sandbox }).output;
  t.is(silent.details, '"static" has given no address: neither its configuration nor the runtime names any');
});

for (const [title, value, says] of [
  ['no addresses', { cniVersion: '1.0.0' }, /IPAM plugin returned missing IP config/],
  ['what is not a result', { cniVersion: '1.0.0', ips: 'many' }, /Cannot read the result of/],
  [
    'a gateway outside of the subnet',
    { ...RESULT, ips: [{ address: '10.7.0.9/24', gateway: '10.9.0.1' }] },
    /outside of 10.7.0.0\/24/,
  ],
] as const) {
  test.serial(`${title}: the ADD fails, gives the addresses back, and leaves nothing`, (t) => {
    const lab = new Lab(t);
    const { conf, path, told } = withIpam(lab, answer(value));
    const { status, output } = lab.exec('ADD', conf, { sandbox: lab.sandbox('c1') }, { path });
    t.is(status, 1);
    t.regex(output.msg ?? '', says);
    t.regex(told(), /^DEL c1 eth0/m);
    t.deepEqual(
      ip('link').map(({ ifname }) => ifname),
      ['lo'],
    );
  });
}

test.serial('GC and STATUS reach it, and its DEL error does not keep the link', (t) => {
  const lab = new Lab(t);
  const { conf, path, told } = withIpam(
    lab,
    `[ "$CNI_COMMAND" = DEL ] && { echo '{"cniVersion":"1.1.0","code":11,"msg":"busy"}'; exit 1; }\n${answer(RESULT)}`,
  );
  const sandbox = lab.sandbox('c1');
  t.is(lab.exec('STATUS', conf, {}, { path }).status, 0);
  lab.add(conf, { sandbox }, { path });
  const { status, output } = lab.exec('DEL', conf, { sandbox }, { path });
  t.is(status, 1);
  t.is(output.code, 11);
  t.is(output.msg, 'busy');
  t.is(sandbox.ip('link').length, 1);
  t.is(lab.exec('GC', { ...conf, 'cni.dev/valid-attachments': [] }, {}, { path }).status, 0);
  for (const command of ['STATUS', 'ADD', 'DEL', 'GC']) t.regex(told(), new RegExp(`^${command} `, 'm'));
});

test.serial("a second ADD of the same container does not take the first one's addresses away", (t) => {
  const lab = new Lab(t);
  const { conf, path, told } = withIpam(lab, answer(RESULT));
  lab.add(conf, { sandbox: lab.sandbox('c1') }, { path });
  const again = lab.exec('ADD', conf, { sandbox: lab.sandbox('other'), containerId: 'c1' }, { path });
  t.is(again.output.code, 103);
  t.notRegex(told(), /^DEL /m);
});
