/** `netloom connect` with containers of podman, started with --network none, by way of podman's API service. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { connectContract } from './connect.ts';
import { Machine } from './machine.ts';
import { podman } from './podman.ts';
import type { Runtime } from './runtime.ts';
import { until } from './until.ts';

let machine: Machine;
let runtime: Runtime;

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
  await until('podman answers', () => machine.run('ls', '/run/podman').includes('podman.sock'), service);
});

test.after.always(async () => {
  await runtime?.end();
  await machine?.end();
});

connectContract(test, () => ({ machine, engine: 'podman', start: (...command) => runtime.start(...command) }));
