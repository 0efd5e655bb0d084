/** What TARGET may be, for the help of every command that takes one. */
export const TARGETS = `TARGET is one of
  docker:NAME, podman:NAME  a container, by name, id or the beginning of its id
  containerd:ID             a containerd task, also as containerd:NAMESPACE/ID
  sandbox:NAME              a sandbox, see "netloom sandbox ls"
  pid:N                     the network namespace of process N
  netns:PATH                a network namespace, such as netns:/run/netns/web
  NAME                      the sandbox of that name, or the container of any
                            engine on this machine`;
