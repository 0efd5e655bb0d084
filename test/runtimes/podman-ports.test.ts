/**
 * A network from `podman network create` with published ports. All plugins are from `dist/bin`: bridge, portmap,
 * firewall and tuning.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { ask } from '../support/conversation.ts';
import { Sandbox } from '../support/host.ts';
import { Machine } from './machine.ts';
import { podman } from './podman.ts';
import { listens } from './prints.ts';
import type { Runtime } from './runtime.ts';

const HOST = '192.0.2.1';

let machine: Machine;
let runtime: Runtime;

test.before(async () => {
  machine = await Machine.start();
  runtime = podman(machine, 'web');
});

test.after.always(async () => {
  await runtime?.end();
  await machine?.end();
});

const command = (...args: string[]) =>
  machine.run(
    'podman',
    '--storage-driver=vfs',
    `--root=${machine.root}/podman/root`,
    `--runroot=${machine.root}/podman/run`,
    ...args,
  );

test.serial(
  'a published port is reached from the host, its localhost, another container and another machine; and by none when it is gone',
  async (t) => {
    t.timeout(240_000);
    command('network', 'create', 'web');
    const before = machine.state().rules;
    mkdirSync(join(machine.root, 'other'), { recursive: true });
    using remote = new Sandbox(join(machine.root, 'other'), 'machine');
    const ip = (...args: string[]) => execFileSync('ip', args, { stdio: 'pipe' });
    ip('link', 'add', 'lan0', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', remote.path);
    ip('addr', 'add', `${HOST}/24`, 'dev', 'lan0');
    ip('link', 'set', 'lan0', 'up');
    remote.run('ip', 'addr', 'add', '192.0.2.9/24', 'dev', 'eth0');
    remote.run('ip', 'link', 'set', 'eth0', 'up');

    const serve = ['/bin/busybox', 'nc', '-ll', '-p', '80', '-e', 'echo', 'hello'];
    const id = command(
      'run',
      '--detach',
      '-p',
      '8080:80',
      '--network=web',
      '--rootfs',
      machine.rootfs,
      ...serve,
    ).trim();
    await listens({ exec: (...inside) => command('exec', id, ...inside) }, 80);
    const reached = () => [ask(undefined, HOST, 8080), ask(undefined, '127.0.0.1', 8080), ask(remote, HOST, 8080)];
    t.deepEqual(reached(), ['hello\n', 'hello\n', 'hello\n']);
    const fromContainer = [
      'run',
      '--rm',
      '--network=web',
      '--rootfs',
      machine.rootfs,
      '/bin/busybox',
      'nc',
      '-w',
      '30',
      HOST,
      '8080',
    ];
    t.is(command(...fromContainer), 'hello\n');
    t.is(command('exec', id, '/bin/busybox', 'nc', '-w', '30', HOST, '8080'), 'hello\n', 'the container itself');
    command('rm', '--force', '--time=0', id);
    t.deepEqual(reached(), [undefined, undefined, undefined]);
    t.is(machine.state().rules, before);
    ip('link', 'del', 'lan0');
  },
);
