/**
 * containerd and its client ctr. With `--cni`, ctr itself calls the plugins in /opt/cni/bin, by the first conflist in
 * /etc/cni/net.d.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../support/until.ts';
import type { Machine } from './machine.ts';
import type { Container, Runtime } from './runtime.ts';

export async function containerd(machine: Machine): Promise<Runtime> {
  const dir = join(machine.root, 'containerd');
  mkdirSync(dir);
  const config = join(dir, 'config.toml');
  const socket = join(dir, 'sock');
  // The CRI plugin is not needed, and looks for a network of its own.
  writeFileSync(config, 'version = 2\ndisabled_plugins = ["io.containerd.grpc.v1.cri"]\n');
  const daemon = machine.start(
    ...['containerd', '--config', config, '--log-level', 'error', '--address', socket],
    ...['--root', join(dir, 'root'), '--state', '/run/netloom-containerd'],
  );
  const ctr = (...args: string[]) => machine.run('ctr', '--address', socket, ...args);
  await until('containerd answers', () => ctr('version') !== '', { end: daemon });
  return client(machine, ctr, socket, { conflist: '10-bridge.conflist' });
}

interface Network {
  readonly conflist: string;
  /** For the first plugin of the conflist. */
  readonly keys?: Record<string, unknown>;
  /** Further options for ctr. */
  readonly options?: readonly string[];
}

let count = 0;

function client(
  machine: Machine,
  ctr: (...args: string[]) => string,
  socket: string,
  { conflist, keys = {}, options: more = [] }: Network,
): Runtime {
  // --rootfs takes no value: the directory comes where the image's name otherwise does.
  const options = ['--rm', '--cni', '--env=PATH=/bin', ...more, '--rootfs', machine.rootfs];
  const use = () => machine.configureOnly(conflist, keys);
  return {
    name: 'containerd',
    on: (other) => client(machine, ctr, socket, { conflist: other }),
    // ctr calls the plugins when the process already exists, so the process must start in the other container's
    // namespace.
    beside({ id }) {
      const line = ctr('task', 'ls')
        .split('\n')
        .find((each) => each.startsWith(`${id} `));
      const pid = line?.split(/\s+/)[1];
      return client(machine, ctr, socket, {
        conflist: '90-container.conflist',
        keys: { container: `default-${id}` },
        options: [`--with-ns=network:/proc/${pid}/ns/net`],
      });
    },
    run(...args) {
      use();
      return ctr('run', ...options, `run${++count}`, ...args);
    },
    async start(...args): Promise<Container> {
      use();
      const id = `stay${++count}`;
      // Not --detach: ctr then never removes the network.
      const ended = machine.start('ctr', '--address', socket, 'run', ...options, id, ...args);
      const exec = (...inside: string[]) => ctr('task', 'exec', `--exec-id=exec${++count}`, id, ...inside);
      // NB: exec works from the task's creation on, before the plugins are called.
      const isRunning = () => new RegExp(`^${id}\\s+\\d+\\s+RUNNING`, 'm').test(ctr('task', 'ls'));
      await until(`container ${id} runs`, () => isRunning() && exec('/bin/ip', 'addr') !== '', { end: ended });
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
