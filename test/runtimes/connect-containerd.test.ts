/** `netloom connect` with containers of containerd, whose namespaces are empty. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { until } from '../support/until.ts';
import { connectContract } from './connect.ts';
import { Machine } from './machine.ts';
import type { Container } from './runtime.ts';

let machine: Machine;
let count = 0;
let ctr: (...args: string[]) => string;

test.before(async () => {
  machine = await Machine.start();
  const dir = join(machine.root, 'containerd');
  mkdirSync(dir);
  const config = join(dir, 'config.toml');
  writeFileSync(config, 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
  const socket = '/run/containerd/containerd.sock';
  const daemon = machine.start(
    'containerd',
    '--config',
    config,
    '--log-level',
    'error',
    '--address',
    socket,
    '--root',
    join(dir, 'root'),
    '--state',
    '/run/containerd',
  );
  ctr = (...args) => machine.run('ctr', '--address', socket, ...args);
  await until('containerd answers', () => ctr('version') !== '', { end: daemon });
});

test.after.always(async () => {
  await machine?.end();
});

connectContract(test, () => ({
  machine,
  engine: 'containerd',
  async start(...command): Promise<Container> {
    const id = `unwired${++count}`;
    ctr('run', '--detach', '--env=PATH=/bin', '--rootfs', machine.rootfs, id, ...command);
    return {
      id,
      exec: (...inside) => ctr('task', 'exec', `--exec-id=exec${++count}`, id, ...inside),
      async remove() {
        ctr('task', 'kill', '--signal=KILL', id);
        await until('the task has ended', () => ctr('task', 'ls').includes('STOPPED'));
        ctr('task', 'delete', id);
        ctr('container', 'delete', id);
      },
    };
  },
}));
