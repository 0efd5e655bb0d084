/** The agent as runtimes meet it: through the shim, at root's socket, for callers in the same namespaces. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import test from 'ava';
import type { Status } from '../../src/agent/status.ts';
import { lock, O, open } from '../../src/ffi/file.ts';
import { Netloom } from '../support/command.ts';
import { becomeHost, ip } from '../support/host.ts';
import { BIN, bridgeConf, type End, type ExecOptions, Lab, type Output } from '../support/lab.ts';
import { until } from '../support/until.ts';
import { AgentProcess, agentOnly, modeOf, socketOf } from './agent-process.ts';
import { ask, deskOf } from './ask.ts';
import { hostOf } from './remains.ts';

becomeHost();

/** Options for calls that only the agent can serve. IPAM plugins come from dist/bin, so they are netloom's own. */
function throughAgent(lab: Lab): ExecOptions {
  return { bin: agentOnly(lab), path: BIN };
}

function isDeclined({ output }: End): boolean {
  return output.code === 108;
}

function links(): string[] {
  return ip<{ ifname: string }>('link').map(({ ifname }) => ifname);
}

/** A third-party IPAM plugin that reports its ADD, and then waits until the test lets it go. */
function slowIpam(lab: Lab) {
  const path = join(lab.root, 'ipam');
  mkdirSync(path);
  const [waiting, go] = [join(lab.root, 'waiting'), join(lab.root, 'go')];
  const result = { cniVersion: '1.0.0', ips: [{ address: '10.1.0.5/24', gateway: '10.1.0.1' }] };
  writeFileSync(
    join(path, 'slow'),
    `#!/bin/sh
[ "$CNI_COMMAND" = ADD ] || exit 0
echo "$PWD $COLOUR" > ${waiting}
while [ ! -e ${go} ]; do sleep 0.05; done
echo '${JSON.stringify(result)}'`,
    { mode: 0o755 },
  );
  return {
    conf: bridgeConf({ ipam: { type: 'slow' } }),
    path: `${path}:${BIN}`,
    untilWaiting: () => until('IPAM is executed', () => existsSync(waiting)),
    told: () => readFileSync(waiting, 'utf8'),
    letGo: () => writeFileSync(go, ''),
  };
}

test.serial('the socket is for root alone, in a directory that is root’s alone', async (t) => {
  const lab = new Lab(t);
  mkdirSync(join(lab.root, 'run/netloom'), { recursive: true });
  chmodSync(join(lab.root, 'run/netloom'), 0o755);
  await AgentProcess.start(t, lab);
  t.is(modeOf(socketOf(lab)), 0o600);
  t.is(modeOf(join(lab.root, 'run/netloom')), 0o700);
});

test.serial('it serves ADD, CHECK and DEL, and the link is gone when DEL returns', async (t) => {
  const lab = new Lab(t);
  const options = throughAgent(lab);
  await AgentProcess.start(t, lab);
  const target = { sandbox: lab.sandbox('c1') };
  const conf = bridgeConf({ ipMasq: true });
  for (let i = 0; i < 5; i++) {
    const result = lab.add(conf, target, options);
    t.is(lab.exec('CHECK', { ...conf, prevResult: result }, target, options).status, 0);
    const host = result.interfaces?.[1]?.name ?? '';
    t.true(links().includes(host));
    lab.del(conf, target, options);
    t.false(links().includes(host));
    t.deepEqual(target.sandbox.ip('link', 'show', 'type', 'veth'), []);
  }
  lab.del(conf, target, options);
});

test.serial('without netloom beside the shim and without an agent a call says what is missing', (t) => {
  const lab = new Lab(t);
  t.true(isDeclined(lab.exec('STATUS', bridgeConf(), {}, throughAgent(lab))));
});

const DECLINED: readonly [title: string, options: ExecOptions, netns?: string][] = [
  ['in another network namespace', { wrap: ['unshare', '--net'] }],
  ['in another mount namespace', { wrap: ['unshare', '--mount'] }],
  ['in another user namespace', { wrap: ['unshare', '--user', '--map-root-user'] }],
  ['that is to be traced', { environment: { NETLOOM_TRACE: 'netlink' } }],
  ['within a call of the agent', { environment: { NETLOOM_WITHIN: 'agent' } }],
  ['whose namespace is named by its own process', {}, '/proc/self/ns/net'],
];
for (const [title, more, netns] of DECLINED) {
  test.serial(`a call ${title} is declined before it begins`, async (t) => {
    const lab = new Lab(t);
    const options = { ...throughAgent(lab), ...more };
    await AgentProcess.start(t, lab);
    const target = { sandbox: lab.sandbox('c1'), ...(netns !== undefined && { netns }) };
    t.true(isDeclined(lab.exec('ADD', bridgeConf(), target, options)));
    t.deepEqual(links(), ['lo']);
  });
}

test.serial('a caller that is not root is declined, though the socket were open to all', async (t) => {
  const lab = new Lab(t);
  const { bin = '', path } = throughAgent(lab);
  await AgentProcess.start(t, lab);
  for (const directory of [lab.root, join(lab.root, 'run'), join(lab.root, 'run/netloom'), bin])
    chmodSync(directory, 0o755);
  chmodSync(socketOf(lab), 0o666);
  const wrap = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];
  const target = { sandbox: lab.sandbox('c1') };
  t.true(isDeclined(lab.exec('ADD', bridgeConf(), target, { bin, ...(path !== undefined && { path }), wrap })));
  t.deepEqual(links(), ['lo']);
  t.regex(new Netloom(lab.root).run('status', '--json'), /"declined": ?1\b/);
});

test.serial('a caller below another root directory is declined', async (t) => {
  const lab = new Lab(t);
  const { bin = '' } = throughAgent(lab);
  await AgentProcess.start(t, lab);
  // The lab's directory becomes the root. The shim needs /proc and the socket to get this far.
  mkdirSync(join(lab.root, 'proc'));
  const script = `mount --bind /proc ${lab.root}/proc; trap "umount ${lab.root}/proc" EXIT; NETLOOM_ROOT= chroot ${lab.root} ${bin.slice(lab.root.length)}/bridge`;
  const child = spawn('sh', ['-c', script], {
    env: { PATH: process.env['PATH'], CNI_COMMAND: 'STATUS', CNI_PATH: '/' },
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  let stdout = '';
  child.stdout.on('data', (data) => (stdout += data));
  child.stdin.end(JSON.stringify(bridgeConf()));
  await new Promise((resolve) => child.on('close', resolve));
  t.is((JSON.parse(stdout) as Output).code, 108);
});

test.serial('many ADDs at once, and many DELs, each get their own', async (t) => {
  const lab = new Lab(t);
  const options = throughAgent(lab);
  const agent = await AgentProcess.start(t, lab);
  const sandboxes = Array.from({ length: 32 }, (_, i) => lab.sandbox(`c${i}`));
  const conf = bridgeConf({ ipMasq: true });
  const before = hostOf(lab);
  let files = 0;
  for (let round = 0; round < 3; round++) {
    const added = await Promise.all(sandboxes.map((sandbox) => lab.start('ADD', conf, { sandbox }, options)));
    t.deepEqual(
      added.filter(({ status }) => status !== 0).map(({ stdout }) => stdout),
      [],
    );
    t.is(new Set(added.map(({ output }) => output.ips?.[0]?.address)).size, 32);
    const removed = await Promise.all(sandboxes.map((sandbox) => lab.start('DEL', conf, { sandbox }, options)));
    t.deepEqual(
      removed.filter(({ status }) => status !== 0).map(({ stdout }) => stdout),
      [],
    );
    t.deepEqual(links(), ['lo', 'cni0']);
    if (round === 1) files = agent.openFiles;
  }
  lab.exec('GC', { ...conf, 'cni.dev/valid-attachments': [] }, {}, options);
  t.true(agent.openFiles < files + 64, 'descriptors do not pile up');
  ipDelete('cni0');
  t.is(hostOf(lab), before);
});

test.serial('another plugin for IPAM is executed where and as the caller is', async (t) => {
  const lab = new Lab(t);
  const { conf, path, letGo, told } = slowIpam(lab);
  await AgentProcess.start(t, lab);
  letGo();
  const script = ['sh', '-c', `cd ${lab.root} && exec "$0"`];
  const result = lab.add(
    conf,
    { sandbox: lab.sandbox('c1') },
    { ...throughAgent(lab), path, wrap: script, environment: { COLOUR: 'blue' } },
  );
  t.is(result.ips?.[0]?.address, '10.1.0.5/24');
  t.is(told(), `${lab.root} blue\n`);
});

test.serial('SIGTERM ends the agent when the call that is under way has ended', async (t) => {
  const lab = new Lab(t);
  const { conf, path, letGo, untilWaiting } = slowIpam(lab);
  const options = { ...throughAgent(lab), path };
  const agent = await AgentProcess.start(t, lab);
  const adding = lab.start('ADD', conf, { sandbox: lab.sandbox('c1') }, options);
  await untilWaiting();
  agent.signal('SIGTERM');
  await until('nobody can call any more', () => !existsSync(socketOf(lab)));
  const meanwhile = lab.exec('ADD', bridgeConf(), { sandbox: lab.sandbox('c2') });
  t.is(meanwhile.status, 0, 'the next call works without it');
  letGo();
  t.is((await adding).status, 0);
  t.is(await agent.ended(), 0);
});

test.serial('a new agent takes the place of one that runs, and no call fails', async (t) => {
  const lab = new Lab(t);
  const options = throughAgent(lab);
  const first = await AgentProcess.start(t, lab);
  const sandboxes = Array.from({ length: 8 }, (_, i) => lab.sandbox(`c${i}`));
  let isOver = false;
  const cycles = sandboxes.map(async (sandbox) => {
    const failures: string[] = [];
    while (!isOver) {
      for (const command of ['ADD', 'DEL']) {
        const { status, stdout, stderr } = await lab.start(command, bridgeConf(), { sandbox }, options);
        if (status !== 0) failures.push(stdout + stderr);
      }
    }
    return failures;
  });
  await AgentProcess.start(t, lab);
  const status = await first.ended();
  isOver = true;
  t.deepEqual((await Promise.all(cycles)).flat(), []);
  t.is(status, 0);
});

test.serial('a call that hangs is given up, harms no other, and leaves nothing', async (t) => {
  const lab = new Lab(t);
  const options = throughAgent(lab);
  const agent = await AgentProcess.start(t, lab, '--call-limit', '8');
  const conf = bridgeConf();
  const target = { sandbox: lab.sandbox('c1') };
  lab.add(conf, target, options);
  lab.del(conf, target, options);
  {
    // Hold the lock of the network's leases.
    using held = open(join(lab.root, 'var/lib/cni/networks/net/lock'), O.RDWR);
    lock(held.number, 'lock');
    const stuck = lab.start('ADD', conf, target, options);
    const other = bridgeConf({ name: 'other', bridge: 'other0', ipam: { type: 'host-local', subnet: '10.2.0.0/24' } });
    const elsewhere = { sandbox: lab.sandbox('c2') };
    const others = await lab.start('ADD', other, elsewhere, options);
    t.is(others.status, 0, others.stdout);
    lab.del(other, elsewhere, options);
    const end = await stuck;
    t.is(end.status, 1);
    t.is(end.output.code, 11);
  }
  // The thread goes on now, finds that nobody waits for it, and undoes everything.
  const leases = join(lab.root, 'var/lib/cni/networks/net');
  const isLeft = () => links().some((name) => name.startsWith('veth')) || existsSync(join(leases, '10.1.0.3'));
  await until('it is in the log', () => agent.stderr.includes('gave up a call'));
  // NB: wait for this first. Before the thread goes on there is nothing to undo, either.
  await until('the call has come to its end', () => /"level":"warn".*"thread":/.test(agent.stderr));
  await until('what the call has done is undone', () => !isLeft());
  lab.add(conf, target, options);
  lab.del(conf, target, options);
});

test.serial('an ADD whose runtime has gone is undone, and DEL for the same container waits for that', async (t) => {
  const lab = new Lab(t);
  const { conf, path, letGo, untilWaiting } = slowIpam(lab);
  const options = { ...throughAgent(lab), path };
  await AgentProcess.start(t, lab);
  const sandbox = lab.sandbox('c1');
  const child = spawn(`${options.bin}/bridge`, [], {
    env: lab.environment('ADD', { sandbox }, options),
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  child.stdin.end(JSON.stringify(conf));
  await untilWaiting();
  child.kill('SIGKILL');
  const deleting = lab.start('DEL', conf, { sandbox }, options);
  let isDeleted = false;
  void deleting.then(() => (isDeleted = true));
  await until('the DEL has come, beside the ADD', async () => (await busyThreads(lab)) === 2);
  const { status } = await lab.start('STATUS', bridgeConf(), {}, { ...options, path: BIN });
  t.is(status, 0, 'others are served meanwhile');
  t.false(isDeleted, 'it waits');
  letGo();
  t.is((await deleting).status, 0);
  t.deepEqual(
    links().filter((name) => name.startsWith('veth')),
    [],
  );
  t.deepEqual(sandbox.ip('link', 'show', 'type', 'veth'), []);
});

/** How many calls the agent is carrying out. */
async function busyThreads(lab: Lab): Promise<number> {
  const { threads } = JSON.parse((await ask(deskOf(lab), '/status')).text) as Status;
  return threads.busy;
}

test.serial(
  'killed at any moment under load, it leaves calls that succeed or can be repeated, and nothing behind',
  async (t) => {
    const lab = new Lab(t);
    const conf = bridgeConf({ ipMasq: true });
    const sandboxes = Array.from({ length: 12 }, (_, i) => lab.sandbox(`c${i}`));
    const before = hostOf(lab);
    let agent = await AgentProcess.start(t, lab);
    let isOver = false;
    let again = 0;
    const cycles = sandboxes.map(async (sandbox) => {
      const wrong: string[] = [];
      const call = async (command: string) => {
        const { status, stdout, stderr, output } = await lab.start(command, conf, { sandbox });
        if (status === 0) return true;
        if (output.code === 11) again++;
        else wrong.push(`${command} ${sandbox.name}: ${stdout}${stderr}`);
        return false;
      };
      while (!isOver) {
        // A runtime calls DEL after a failed ADD, and again after a failed DEL.
        await call('ADD');
        while (!(await call('DEL')) && wrong.length < 5);
      }
      return wrong;
    });
    for (let i = 0; i < 8; i++) {
      await delay(50 + i * 37);
      await agent.kill();
      agent = await AgentProcess.start(t, lab);
    }
    await agent.kill();
    isOver = true;
    t.deepEqual((await Promise.all(cycles)).flat(), []);
    t.log(`${again} calls had to be repeated`);
    t.is(lab.exec('STATUS', conf).status, 0, 'the next call works without it');
    ipDelete('cni0');
    t.is(hostOf(lab), before);
    t.deepEqual(leasesOf(lab), []);
  },
);

function leasesOf(lab: Lab): string[] {
  return readdirSync(join(lab.root, 'var/lib/cni/networks/net')).filter((name) => name.startsWith('10.'));
}

function ipDelete(link: string): void {
  ip('link', 'delete', link);
}
