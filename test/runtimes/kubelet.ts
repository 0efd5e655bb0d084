/**
 * What kubelet does for a pod with containerd. containerd's CRI plugin makes the namespace and calls libcni, for
 * loopback and the first conflist of /etc/cni/net.d at the same time. The pod's settings are passed as capabilities.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from '../support/until.ts';
import { type Cri, cri, type PodConfig } from './cri.ts';
import { makeImage } from './image.ts';
import type { Machine } from './machine.ts';
import type { Container, Runtime } from './runtime.ts';

/** The image of the sandbox process and of all containers. No registry has it. */
const IMAGE = 'netloom.test/busybox:1';

export interface Kubelet extends Runtime {
  readonly cri: Cri;
  /** Starts a pod with one container. */
  runPod(config?: PodConfig, command?: readonly string[]): Promise<Pod>;
  /** The addresses in the status of a pod. */
  addresses(id: string): Promise<readonly string[]>;
  /** Kills containerd, and starts it again. */
  restart(): Promise<void>;
}

export interface Pod extends Container {
  /** Its name in the Kubernetes namespace `default`. */
  readonly name: string;
  readonly addresses: readonly string[];
  /** Runs a program in its container. @returns what it printed */
  exec(...command: string[]): Promise<string>;
  /** Kills the sandbox process and with it the others, which share its PID namespace. */
  kill(): Promise<void>;
}

export async function kubelet(machine: Machine): Promise<Kubelet> {
  const dir = join(machine.root, 'containerd');
  mkdirSync(dir);
  const config = join(dir, 'config.toml');
  const socket = join(dir, 'sock');
  writeFileSync(
    config,
    `version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "${dir}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${IMAGE}"
  restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/opt/cni/bin"
  conf_dir = "/etc/cni/net.d"
`,
  );
  const pidFile = join(dir, 'pid');
  const daemon = ['containerd', '--config', config, '--log-level', 'error', '--address', socket].concat(
    ['--root', join(dir, 'root'), '--state', '/run/netloom-containerd'], //
  );
  const call = cri(socket);
  let ended: Promise<string>;
  const start = async () => {
    ended = machine.start('sh', '-c', `echo $$ > ${pidFile}; exec ${daemon.join(' ')}`);
    await until('containerd answers', async () => (await call('Status', {})).status.conditions.length > 0, {
      end: ended,
    });
  };
  await start();
  const ctr = (...args: string[]) => machine.run('ctr', '--address', socket, '--namespace', 'k8s.io', ...args);
  const archive = join(dir, 'image.tar');
  makeImage(archive, machine.rootfs, IMAGE, ['/bin/sleep', '1000000']);
  ctr('images', 'import', archive);
  // The CRI plugin learns of it by an event.
  const image = () => call('ImageStatus', { image: { image: IMAGE } });
  await until('kubelet finds the image', async () => (await image()).image.id !== '');

  // kubelet makes this cgroup and removes it.
  const cgroup = `netloom-test-${process.pid}`;
  let count = 0;
  const addresses = async (pod_sandbox_id: string) => {
    const { network } = (await call('PodSandboxStatus', { pod_sandbox_id })).status;
    return [network.ip, ...network.additional_ips.map(({ ip }) => ip)];
  };
  const runPod = async (
    asked: PodConfig = {},
    command: readonly string[] = ['/bin/sleep', '1000000'],
  ): Promise<Pod> => {
    const name = `pod${++count}`;
    const podConfig: PodConfig = {
      metadata: { name, uid: `uid-${name}`, namespace: 'default' },
      hostname: name,
      linux: { cgroup_parent: `/${cgroup}` },
      ...asked,
    };
    const { pod_sandbox_id } = await call('RunPodSandbox', { config: podConfig });
    const { container_id } = await call('CreateContainer', {
      pod_sandbox_id,
      config: { metadata: { name }, image: { image: IMAGE }, command },
      sandbox_config: podConfig,
    });
    await call('StartContainer', { container_id });
    return {
      id: pod_sandbox_id,
      name,
      addresses: await addresses(pod_sandbox_id),
      async exec(...cmd) {
        const { stdout, stderr, exit_code } = await call('ExecSync', { container_id, cmd });
        if (exit_code !== 0) throw new Error(`${cmd.join(' ')} left with ${exit_code}: ${stderr}`);
        return stdout;
      },
      async kill() {
        ctr('task', 'kill', '--signal=KILL', pod_sandbox_id);
        await until(`containerd knows that pod ${name} has ended`, async () => {
          const { state } = (await call('PodSandboxStatus', { pod_sandbox_id })).status;
          return state === 1 && (await call('ContainerStatus', { container_id })).status.state === 2;
        });
      },
      async remove() {
        await call('StopPodSandbox', { pod_sandbox_id });
        await call('RemovePodSandbox', { pod_sandbox_id });
      },
    };
  };

  return {
    name: 'kubelet',
    cri: call,
    addresses,
    runPod,
    async restart() {
      machine.run('kill', '-KILL', readFileSync(pidFile, 'utf8').trim());
      await ended;
      await start();
    },
    on() {
      throw new Error('The network of pods is that of the machine');
    },
    beside() {
      throw new Error('Containers of one pod share its network without a plugin');
    },
    async run(...command) {
      const pod = await runPod();
      try {
        return await pod.exec(...command);
      } finally {
        await pod.remove();
      }
    },
    start: (...command) => runPod({}, command),
    async end() {
      for (const { id } of (await call('ListPodSandbox', {})).items) {
        await call('StopPodSandbox', { pod_sandbox_id: id });
        await call('RemovePodSandbox', { pod_sandbox_id: id });
      }
      removeCgroup(cgroup);
    },
  };
}

/** Removes the cgroup from every hierarchy of cgroup v1, or from the one of v2. */
function removeCgroup(name: string): void {
  const root = '/sys/fs/cgroup';
  for (const hierarchy of ['.', ...readdirSync(root)]) {
    const path = join(root, hierarchy, name);
    if (existsSync(path)) rmdirSync(path);
  }
}
