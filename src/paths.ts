/**
 * Where netloom keeps things. NETLOOM_ROOT puts all of it below one directory: for tests and labs that share a machine.
 */
export interface Paths {
  /** Conflists. */
  readonly conf: string;
  /** What libcni keeps; attachments are below it in `results`. */
  readonly cni: string;
  /** Leases of host-local, in the reference's layout. */
  readonly leases: string;
  /** What must outlive a boot. */
  readonly state: string;
  /** What must not outlive a boot: sockets, pinned namespaces. */
  readonly run: string;
  /** What tuning found before it changed an interface, in the reference's layout. */
  readonly tuning: string;
  /** The agent's settings. */
  readonly agentSettings: string;
  /** The sysctls that tuning may set; without the file, all of the network's. */
  readonly sysctlAllowlist: string;
}

export function pathsOf(environment: Readonly<Record<string, string | undefined>>): Paths {
  const root = environment['NETLOOM_ROOT'] ?? '';
  return {
    conf: `${root}/etc/cni/net.d`,
    cni: `${root}/var/lib/cni`,
    leases: `${root}/var/lib/cni/networks`,
    state: `${root}/var/lib/netloom`,
    run: `${root}/run/netloom`,
    tuning: `${root}/run/cni/tuning`,
    agentSettings: `${root}/etc/netloom/agent.json`,
    sysctlAllowlist: `${root}/etc/cni/tuning/allowlist.conf`,
  };
}
