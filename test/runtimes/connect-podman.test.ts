/** `netloom connect` with containers of podman, started with --network none, through podman's API service. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { NETLOOM } from '../support/command.ts';
import { until } from '../support/until.ts';
import { connectContract } from './connect.ts';
import { Machine } from './machine.ts';
import { type Podman, podman } from './podman.ts';

let machine: Machine;
let runtime: Podman;

test.before(async () => {
  machine = await Machine.start();
  runtime = podman(machine, 'none');
  mkdirSync('/run/podman', { recursive: true });
  const dirs = [`--root=${join(machine.root, 'podman/root')}`, `--runroot=${join(machine.root, 'podman/run')}`];
  const service = machine.start(
    'podman',
    '--storage-driver=vfs',
    ...dirs,
    'system',
    'service',
    '--time=0',
    'unix:///run/podman/podman.sock',
  );
  await until('podman answers', () => machine.run('ls', '/run/podman').includes('podman.sock'), { end: service });
});

test.after.always(async () => {
  await runtime?.end();
  await machine?.end();
});

connectContract(test, () => ({ machine, engine: 'podman', start: (...command) => runtime.start(...command) }));

test.serial('wires that podman has made itself are seen and explained, too', (t) => {
  const name = 'on-podman';
  runtime.command(
    'run',
    '--detach',
    '--name',
    name,
    '--network=podman',
    '--rootfs',
    machine.rootfs,
    '/bin/sleep',
    '1000',
  );
  const netloom = (...args: string[]) => machine.run(NETLOOM, ...args);
  const paths = netloom('inspect', '--paths', `podman:${name}`);
  t.regex(paths, /^on-podman +eth0 10\.88\.\d+\.\d+\/16 ⇄ veth\w+ ─ cni-podman0 10\.88\.0\.1\/16/);
  t.regex(netloom('explain', `podman:${name}`), /ip addr add 10\.88\.\d+\.\d+\/16 brd \+ dev eth0$/m);
  runtime.command('rm', '--force', '--time=0', name);
});
