/** podman with its CNI back end, without images. man containers.conf(5), podman-run(1) */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Machine } from './machine.ts';
import type { Container, Runtime } from './runtime.ts';

export interface Podman extends Runtime {
  /** Runs any command of podman. @returns what it printed */
  command(...args: string[]): string;
}

export function podman(machine: Machine, network: string): Podman {
  const { root } = machine;
  mkdirSync(join(root, 'podman'), { recursive: true });
  // The limits: podman's own defaults are above what an unprivileged machine may set. runc: crun needs a cgroup layout
  // that not every machine has.
  writeFileSync(
    join(root, 'containers.conf'),
    `[containers]
default_ulimits = ["nofile=1024:4096", "nproc=1024:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "none"
runtime = "runc"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin"]
network_config_dir = "/etc/cni/net.d"
`,
  );
  const options = ['--storage-driver=vfs', `--root=${root}/podman/root`, `--runroot=${root}/podman/run`];
  const command = (...args: string[]) => machine.run('podman', ...options, ...args);
  const create = (flag: string, args: string[]) =>
    command('run', flag, `--network=${network}`, '--rootfs', machine.rootfs, ...args);

  return {
    name: 'podman',
    command,
    on: (conflist) => podman(machine, machine.configure(conflist)),
    // Not --network=container:ID: podman then calls no plugin.
    beside: ({ id }) => podman(machine, machine.configure('90-container.conflist', { container: id })),
    run: (...args) => create('--rm', args),
    async start(...args): Promise<Container> {
      const id = create('--detach', args).trim();
      return {
        id,
        exec: (...inside) => command('exec', id, ...inside),
        remove: async () => void command('rm', '--force', '--time=0', id),
      };
    },
    async end() {
      command('rm', '--all', '--force', '--time=0');
    },
  };
}
