/** containerd and its client ctr, which calls the plugins itself with `--cni`: the first conflist of /etc/cni/net.d, plugins of /opt/cni/bin. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from './machine.ts';
import type { Container, Runtime } from './runtime.ts';
import { until } from './until.ts';

export async function containerd(machine: Machine): Promise<Runtime> {
  const dir = join(machine.root, 'containerd');
  mkdirSync(dir);
  const config = join(dir, 'config.toml');
  const socket = join(dir, 'sock');
  // Kubernetes' interface is not needed, and looks for a network of its own.
  writeFileSync(config, 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
  const daemon = machine.start(
    ...['containerd', '--config', config, '--log-level', 'error', '--address', socket],
    ...['--root', join(dir, 'root'), '--state', '/run/netloom-containerd'],
  );
  const ctr = (...args: string[]) => machine.run('ctr', '--address', socket, ...args);
  // --rootfs takes no value: the directory stands where an image's name does.
  const options = ['--rm', '--cni', '--env=PATH=/bin', '--rootfs', machine.rootfs];
  await until('containerd answers', () => ctr('version') !== '', daemon);

  let count = 0;
  return {
    name: 'containerd',
    run: (...args) => ctr('run', ...options, `run${++count}`, ...args),
    async start(...args): Promise<Container> {
      const id = `stay${++count}`;
      // Not --detach: then ctr never takes the network away.
      const ended = machine.start('ctr', '--address', socket, 'run', ...options, id, ...args);
      const exec = (...inside: string[]) => ctr('task', 'exec', `--exec-id=exec${++count}`, id, ...inside);
      await until(`container ${id} runs`, () => exec('/bin/ip', 'addr') !== '', ended);
      return {
        id,
        exec,
        async remove() {
          ctr('task', 'kill', '--signal=KILL', id);
          await ended;
        },
      };
    },
    // It ends with its machine.
    async end() {},
  };
}
