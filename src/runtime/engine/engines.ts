import { containerd } from './containerd.ts';
import { dockerLike } from './docker.ts';
import type { Engine } from './engine.ts';

/** The engines that targets may name, at the addresses where their own clients look for them. */
export function enginesOf(environment: Readonly<Record<string, string | undefined>>): readonly Engine[] {
  return [
    dockerLike('docker', environment['DOCKER_HOST'], '/var/run/docker.sock'),
    dockerLike('podman', environment['CONTAINER_HOST'], '/run/podman/podman.sock'),
    containerd(environment['CONTAINERD_STATE'] ?? '/run/containerd'),
  ];
}
