/** What TARGET may be, for the help of every command that takes one. */
export const TARGETS = `TARGET is docker:NAME, podman:NAME, containerd:NAME (a name, an id or the beginning of one; containerd:NAMESPACE/ID), sandbox:NAME, pid:N, netns:PATH, or a name alone, which sandboxes and then the engines that are here are asked for.`;
