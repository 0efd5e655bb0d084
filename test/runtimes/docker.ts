/** docker: a daemon with a containerd of its own. Its containers have no network. man 8 dockerd */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../support/until.ts';
import type { Machine } from './machine.ts';
import type { Container } from './runtime.ts';

export interface Docker {
  /** Starts a container that keeps running, without a network. @returns when it runs */
  start(...command: string[]): Promise<Container>;
}

export async function docker(machine: Machine): Promise<Docker> {
  const dir = join(machine.root, 'docker');
  mkdirSync(dir);
  const daemon = machine.start(
    ...['dockerd', '--data-root', join(dir, 'root'), '--exec-root', '/run/docker', '--pidfile', '/run/docker.pid'],
    ...['--host', 'unix:///run/docker.sock', '--storage-driver', 'vfs', '--log-level', 'error'],
  );
  const command = (...args: string[]) => machine.run('docker', ...args);
  await until('dockerd answers', () => command('version') !== '', { end: daemon });
  machine.run('sh', '-c', `tar -C '${machine.rootfs}' -c . | docker import - test`);
  return {
    async start(...args): Promise<Container> {
      const id = command('run', '--detach', '--network=none', 'test', ...args).trim();
      return {
        id,
        exec: (...inside) => command('exec', id, ...inside),
        remove: async () => void command('rm', '--force', id),
      };
    },
  };
}
