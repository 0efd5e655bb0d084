/** The systemd units: systemd accepts them, and the agent can work within their limits. */
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { AgentProcess, agentOnly } from '../agent/agent-process.ts';
import { becomeHost } from '../support/host.ts';
import { BIN, bridgeConf, type ExecOptions, type Json, Lab, type Output } from '../support/lab.ts';

becomeHost();

const DIRECTORY = fileURLToPath(new URL('../../packaging/systemd', import.meta.url));
const NETLOOM = fileURLToPath(new URL('../../dist/netloom', import.meta.url));
const SOURCES = fileURLToPath(new URL('../../src', import.meta.url));
const NOBODY = 65534;
const UNITS = ['netloom-agent.socket', 'netloom-agent.service'];

/** The values in a unit by key; a key may occur several times. */
function read(unit: string): Map<string, string[]> {
  const found = new Map<string, string[]>();
  for (const line of readFileSync(join(DIRECTORY, unit), 'utf8').split('\n')) {
    const [, key = '', value = ''] = /^(\w+)=(.*)$/.exec(line) ?? [];
    if (key !== '') found.set(key, [...(found.get(key) ?? []), value]);
    else if (line !== '') assertOther(line);
  }
  return found;
}

function assertOther(line: string): void {
  if (!/^(#|\[(Unit|Service|Socket|Install)\]$)/.test(line)) throw new Error(`No line of a unit: ${line}`);
}

test.serial('systemd finds nothing to complain about', (t) => {
  const lab = new Lab(t);
  const paths = UNITS.map((unit) => {
    const path = join(lab.root, unit);
    // systemd checks that the program exists.
    writeFileSync(path, readFileSync(join(DIRECTORY, unit), 'utf8').replaceAll('/opt/cni/bin/netloom', NETLOOM));
    return path;
  });
  const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', '--man=no', ...paths], {
    encoding: 'utf8',
  });
  const ours = stderr.split('\n').filter((line) => line.includes('netloom'));
  t.deepEqual(ours, []);
  t.is(status, 0, stdout + stderr);
});

/** Keys that give a service a namespace of its own: mounts (systemd.exec(5), "Sandboxing"), network, users. */
const NAMESPACES =
  /^(Root|Mount|Bind|Protect(System|Home|ControlGroups|Kernel|Proc|Hostname|Clock)|ProcSubset|Private|ReadWritePaths|ReadOnlyPaths|InaccessiblePaths|ExecPaths|NoExecPaths|TemporaryFileSystem|DynamicUser|NetworkNamespacePath|JoinsNamespaceOf|(Runtime|State)DirectoryMount)/;

test('the service sees the world as its callers do', (t) => {
  const service = read('netloom-agent.service');
  t.deepEqual(
    [...service.keys()].filter((key) => NAMESPACES.test(key)),
    [],
  );
  t.deepEqual(service.get('RuntimeDirectoryPreserve'), ['yes'], 'records and pins stay when it ends');
});

test('the service may open the sockets that the sources open, and no others', (t) => {
  const sources = readdirSync(SOURCES, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.ts'));
  const text = sources.map((name) => readFileSync(join(SOURCES, name), 'utf8')).join('');
  const used = new Set(text.match(/\bAF_(?!UNSPEC|BRIDGE)[A-Z]\w*/g));
  t.deepEqual(
    (read('netloom-agent.service').get('RestrictAddressFamilies')?.[0] ?? '').split(' ').toSorted(),
    [...used].toSorted(),
  );
});

test('the socket is where the shim looks, for root alone', (t) => {
  const socket = read('netloom-agent.socket');
  t.deepEqual(socket.get('ListenSequentialPacket'), ['/run/netloom/agent.sock']);
  t.deepEqual(socket.get('SocketMode'), ['0600']);
  t.deepEqual(socket.get('DirectoryMode'), ['0700']);
});

/** A chain that needs every capability. */
const CHAIN: readonly Json[] = [
  bridgeConf({ cniVersion: '1.0.0', ipMasq: true }),
  {
    type: 'portmap',
    capabilities: {},
    runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }] },
  },
  { type: 'firewall' },
  { type: 'tuning', sysctl: { 'net.ipv4.conf.IFNAME.log_martians': '1' }, mtu: 1400 },
  { type: 'bandwidth', ingressRate: 8_000_000, ingressBurst: 8_000_000, egressRate: 8_000_000, egressBurst: 8_000_000 },
].map((plugin) => ({ cniVersion: '1.0.0', name: 'net', ...plugin }));

/** Why the service has each of its capabilities: the failure without it. */
const NEEDED: Readonly<Record<string, RegExp>> = {
  NET_ADMIN: /EPERM/,
  SYS_ADMIN: /EPERM/,
  // It cannot read the caller's /proc, so it declines; this shim has no netloom-cni beside it.
  SYS_PTRACE: /"code": 108/,
  // The directory of the leases belongs to another user.
  DAC_OVERRIDE: /EACCES/,
  // Only reported on stderr, because the container works without it.
  NET_RAW: /Cannot open a raw socket: EPERM/,
};

test.serial('without one of its capabilities the agent declines calls, or they fail', async (t) => {
  t.deepEqual(
    Object.keys(NEEDED)
      .map((name) => `CAP_${name}`)
      .toSorted(),
    (read('netloom-agent.service').get('CapabilityBoundingSet')?.[0] ?? '').split(' ').toSorted(),
  );
  const policy = (to: string) => execFileSync('iptables-legacy', ['-P', 'FORWARD', to]);
  policy('DROP');
  t.teardown(() => policy('ACCEPT'));
  for (const [missing, complaint] of Object.entries(NEEDED)) {
    const lab = new Lab(t);
    const wrap = ['setpriv', '--bounding-set', `-${missing.toLowerCase()}`, '--no-new-privs'];
    await AgentProcess.startWith(t, lab, { wrap });
    const options = { bin: agentOnly(lab), path: BIN };
    const target = { sandbox: lab.sandbox('c1') };
    const leases = join(lab.root, 'var/lib/cni/networks');
    mkdirSync(leases, { recursive: true });
    chownSync(leases, NOBODY, NOBODY);
    const { status, stdout, output } = lab.exec('ADD', bridgeConf(), target, options);
    t.is(status, missing === 'NET_RAW' ? 0 : 1, stdout);
    const firewall = { cniVersion: '1.1.0', name: 'net', type: 'firewall', prevResult: output };
    t.regex(status === 0 ? lab.exec('ADD', firewall, target, options).stderr : stdout, complaint, missing);
  }
});

test.serial('the capabilities of the service are enough for a whole chain', async (t) => {
  const lab = new Lab(t);
  const before = lab.snapshot();
  const capabilities = (read('netloom-agent.service').get('CapabilityBoundingSet')?.[0] ?? '').split(' ');
  const set = ['-all', ...capabilities.map((name) => `+${name.slice('CAP_'.length).toLowerCase()}`)].join(',');
  await AgentProcess.startWith(t, lab, { wrap: ['setpriv', '--bounding-set', set, '--no-new-privs'] });
  const options: ExecOptions = { bin: agentOnly(lab), path: BIN };
  const target = { sandbox: lab.sandbox('c1') };
  let prevResult: Output | undefined;
  for (const plugin of CHAIN) prevResult = lab.add({ ...plugin, ...(prevResult && { prevResult }) }, target, options);
  for (const plugin of CHAIN) {
    const { status, stdout } = lab.exec('CHECK', { ...plugin, prevResult }, target, options);
    t.is(status, 0, stdout);
  }
  for (const plugin of CHAIN.toReversed()) lab.del({ ...plugin, prevResult }, target, options);
  t.not(lab.snapshot(), before, 'the bridge and the table stay');
  t.deepEqual(target.sandbox.ip('link', 'show', 'type', 'veth'), []);
});
