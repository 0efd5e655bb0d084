/**
 * containerd and its client ctr, which calls the plugins itself with `--cni`: the first conflist of /etc/cni/net.d,
 * plugins of /opt/cni/bin.
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
  // Kubernetes' interface is not needed, and looks for a network of its own.
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
  /** For its plugin. */
  readonly keys?: Record<string, unknown>;
  /** What ctr needs to be told besides. */
  readonly options?: readonly string[];
}

let count = 0;

function client(
  machine: Machine,
  ctr: (...args: string[]) => string,
  socket: string,
  { conflist, keys = {}, options: more = [] }: Network,
): Runtime {
  // --rootfs takes no value: the directory stands where an image's name does.
  const options = ['--rm', '--cni', '--env=PATH=/bin', ...more, '--rootfs', machine.rootfs];
  const use = () => machine.configureOnly(conflist, keys);
  return {
    name: 'containerd',
    on: (other) => client(machine, ctr, socket, { conflist: other }),
    // ctr calls the plugins when the process is there already, so that has to be in the other's namespace from the
    // start.
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
      // Not --detach: then ctr never takes the network away.
      const ended = machine.start('ctr', '--address', socket, 'run', ...options, id, ...args);
      const exec = (...inside: string[]) => ctr('task', 'exec', `--exec-id=exec${++count}`, id, ...inside);
      // NB: a task can be looked into from its creation on, before the plugins are called.
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
