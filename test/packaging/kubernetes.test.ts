/** The Kubernetes manifest: its shape, the network that it brings, and what its containers execute. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import * as v from 'valibot';
import { parseConflist } from '../../src/runtime/conflist.ts';
import { AgentProcess, agentOnly } from '../agent/agent-process.ts';
import { ask } from '../agent/ask.ts';
import { becomeHost } from '../support/host.ts';
import { BIN, bridgeConf, Lab } from '../support/lab.ts';

becomeHost();

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MANIFEST = join(ROOT, 'packaging/kubernetes/daemonset.yaml');
const NETLOOM = join(ROOT, 'dist/netloom');

const labels = v.strictObject({ 'app.kubernetes.io/name': v.literal('netloom') });
const metadata = v.strictObject({ name: v.literal('netloom'), namespace: v.literal('kube-system'), labels });

const configMap = v.strictObject({
  apiVersion: v.literal('v1'),
  kind: v.literal('ConfigMap'),
  metadata,
  data: v.record(v.string(), v.string()),
});

const unconfined = v.strictObject({ type: v.literal('Unconfined') });

/** Only the keys that are used, under Kubernetes' names for them: Kubernetes silently drops a misspelt key. */
const container = v.strictObject({
  name: v.string(),
  image: v.string(),
  command: v.exactOptional(v.array(v.string())),
  args: v.exactOptional(v.array(v.string())),
  securityContext: v.strictObject({
    allowPrivilegeEscalation: v.exactOptional(v.boolean()),
    readOnlyRootFilesystem: v.literal(true),
    capabilities: v.strictObject({
      drop: v.tuple([v.literal('ALL')]),
      add: v.array(v.pipe(v.string(), v.regex(/^[A-Z_]+$/))),
    }),
    seccompProfile: v.exactOptional(unconfined),
    appArmorProfile: v.exactOptional(unconfined),
  }),
  volumeMounts: v.exactOptional(
    v.array(v.strictObject({ name: v.string(), mountPath: v.string(), readOnly: v.exactOptional(v.boolean()) })),
  ),
  livenessProbe: v.exactOptional(
    v.strictObject({
      httpGet: v.strictObject({ host: v.string(), port: v.number(), path: v.string() }),
      periodSeconds: v.number(),
      timeoutSeconds: v.number(),
    }),
  ),
  resources: v.exactOptional(
    v.strictObject({
      requests: v.strictObject({ cpu: v.string(), memory: v.string() }),
      limits: v.strictObject({ memory: v.string() }),
    }),
  ),
});

const volume = v.strictObject({
  name: v.string(),
  hostPath: v.exactOptional(v.strictObject({ path: v.string(), type: v.literal('DirectoryOrCreate') })),
  configMap: v.exactOptional(v.strictObject({ name: v.literal('netloom') })),
});

const daemonSet = v.strictObject({
  apiVersion: v.literal('apps/v1'),
  kind: v.literal('DaemonSet'),
  metadata,
  spec: v.strictObject({
    selector: v.strictObject({ matchLabels: labels }),
    updateStrategy: v.strictObject({
      type: v.literal('RollingUpdate'),
      rollingUpdate: v.strictObject({ maxUnavailable: v.string() }),
    }),
    template: v.strictObject({
      metadata: v.strictObject({ labels }),
      spec: v.strictObject({
        hostNetwork: v.literal(true),
        hostPID: v.literal(true),
        priorityClassName: v.literal('system-node-critical'),
        automountServiceAccountToken: v.literal(false),
        terminationGracePeriodSeconds: v.pipe(v.number(), v.minValue(31)),
        nodeSelector: v.strictObject({ 'kubernetes.io/os': v.literal('linux') }),
        tolerations: v.tuple([v.strictObject({ operator: v.literal('Exists') })]),
        initContainers: v.tuple([container]),
        containers: v.tuple([container]),
        volumes: v.array(volume),
      }),
    }),
  }),
});

const [map, set] = v.parse(v.tuple([configMap, daemonSet]), readYaml(MANIFEST));
const pod = set.spec.template.spec;
const [install] = pod.initContainers;
const [agent] = pod.containers;

/** The documents of a YAML file, read with Bun's parser. */
function readYaml(file: string): unknown {
  const script = `console.log(JSON.stringify(Bun.YAML.parse(await Bun.file(${JSON.stringify(file)}).text())))`;
  return JSON.parse(execFileSync(join(ROOT, 'node_modules/.bin/bun'), ['-e', script], { encoding: 'utf8' }));
}

test('each volume that is mounted is there, and each that is there is mounted', (t) => {
  const mounted = [install, agent].flatMap(({ volumeMounts = [] }) => volumeMounts.map(({ name }) => name));
  t.deepEqual(mounted.toSorted(), pod.volumes.map(({ name }) => name).toSorted());
  t.is(install.image, agent.image);
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  t.is(agent.image, `netloom:${version}`);
});

test('the network that it brings is one', (t) => {
  const [[name = '', text = ''] = []] = Object.entries(map.data);
  const list = parseConflist(text, name);
  t.true(install.args?.includes(`--conflist=/network/${name}`));
  const types = readdirSync(BIN);
  for (const { type } of list.plugins) t.true(types.includes(type), type);
});

test('the image has what the build makes', (t) => {
  const text = readFileSync(join(ROOT, 'packaging/kubernetes/Containerfile'), 'utf8');
  const [, copied = ''] = /^COPY (.*) \S+$/m.exec(text) ?? [];
  t.true(copied.length > 0);
  for (const file of copied.split(' ')) t.true(existsSync(join(ROOT, file)), file);
});

/** Runs the command of the first container, with the node's directories elsewhere. */
function runInstall(root: string) {
  mkdirSync(join(root, 'network'), { recursive: true });
  for (const [name, text] of Object.entries(map.data)) writeFileSync(join(root, 'network', name), text);
  const args = (install.args ?? []).map((arg) => arg.replace('=/', `=${root}/`));
  const set = ['-all', ...install.securityContext.capabilities.add.map((name) => `+${name.toLowerCase()}`)].join(',');
  return spawnSync('setpriv', ['--bounding-set', set, '--no-new-privs', NETLOOM, ...args], { encoding: 'utf8' });
}

test.serial('the first container puts the plugins and the network in place, again and again', (t) => {
  const { root } = new Lab(t);
  const [bin, conf] = [join(root, 'host/opt/cni/bin'), join(root, 'host/etc/cni/net.d')];
  t.like(runInstall(root), { status: 0, stderr: '' });
  t.regex(readlinkSync(join(bin, 'bridge')), /^netloom(-shim)?$/);
  t.deepEqual(readdirSync(conf), Object.keys(map.data));
  const [file = ''] = readdirSync(conf);
  const before = [statSync(join(bin, 'netloom')).ino, statSync(join(conf, file)).ino];
  writeFileSync(join(conf, file), 'an older one');
  t.like(runInstall(root), { status: 0, stderr: '' });
  const after = [statSync(join(bin, 'netloom')).ino, statSync(join(conf, file)).ino];
  t.true(
    before.every((ino, i) => ino !== after[i]),
    'another file under the same name',
  );
  t.is(readFileSync(join(conf, file), 'utf8'), map.data[file] ?? 'missing');
  t.true(lstatSync(join(bin, 'bridge')).isSymbolicLink());
  t.deepEqual(
    [...readdirSync(bin), ...readdirSync(conf)].filter((name) => name.endsWith('.tmp')),
    [],
  );
});

test.serial('a network that is none is not installed, nor is anything else', (t) => {
  const { root } = new Lab(t);
  writeFileSync(join(root, 'wrong.conflist'), '{"name": "net", "plugins": [');
  const args = ['install', `--bin=${root}/bin`, `--conf=${root}/conf`, `--conflist=${root}/wrong.conflist`];
  const { status, stderr } = spawnSync(NETLOOM, args, { encoding: 'utf8' });
  t.is(status, 1);
  t.regex(stderr, /Cannot read the network of ".*wrong\.conflist"/);
  t.false(existsSync(join(root, 'bin')));
  const without = spawnSync(NETLOOM, [...args.slice(0, 2), ...args.slice(3)], { encoding: 'utf8' });
  t.is(without.status, 1);
  t.regex(without.stderr, /--conf DIRECTORY is missing/);
});

test.serial('the second container’s agent serves the node’s plugins from a mount namespace of its own', async (t) => {
  const lab = new Lab(t);
  const { command = [], securityContext, livenessProbe } = agent;
  const end = command.indexOf('--');
  const capabilities = securityContext.capabilities.add.map((name) => `+${name.toLowerCase()}`);
  // This test's process plays process 1 of the node.
  const enter = command.slice(0, end + 1).map((word) => word.replace('=1', `=${process.pid}`));
  t.is(command[end + 1], '/opt/cni/bin/netloom');
  t.is(command[end + 2], 'agent');
  await AgentProcess.startWith(t, lab, {
    wrap: ['unshare', '--mount', 'setpriv', '--bounding-set', ['-all', ...capabilities].join(','), ...enter],
    args: command.slice(end + 3),
  });
  const options = { bin: agentOnly(lab), path: BIN };
  const target = { sandbox: lab.sandbox('c1') };
  lab.add(bridgeConf({ ipMasq: true }), target, options);
  lab.del(bridgeConf({ ipMasq: true }), target, options);
  const { host, port, path } = livenessProbe?.httpGet ?? {};
  t.is((await ask(`${host}:${port}`, path ?? '')).status, 200);
});
