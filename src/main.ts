/**
 * The one executable. Under the name of a plugin type it is that plugin, as a container runtime executes it; under any
 * other name it is the command line.
 *
 * Each type is a program of its own, which scripts/build.mjs bundles into one file: a call loads only what its type
 * needs, and has no files to link, which takes a tenth off the processor's time for an ADD. The price is 0.4 MB of the
 * executable for each type.
 */

/** Each leads to src/plugins/TYPE/main.ts or src/ipam/TYPE/main.ts, bundled (`imports` in package.json). */
const programs: Readonly<Record<string, () => Promise<unknown>>> = {
  bandwidth: () => import('#program/plugins/bandwidth'),
  bridge: () => import('#program/plugins/bridge'),
  container: () => import('#program/plugins/container'),
  dummy: () => import('#program/plugins/dummy'),
  firewall: () => import('#program/plugins/firewall'),
  host: () => import('#program/plugins/host'),
  'host-device': () => import('#program/plugins/host-device'),
  'host-local': () => import('#program/ipam/host-local'),
  ipvlan: () => import('#program/plugins/ipvlan'),
  loopback: () => import('#program/plugins/loopback'),
  macvlan: () => import('#program/plugins/macvlan'),
  none: () => import('#program/plugins/none'),
  overlay: () => import('#program/plugins/overlay'),
  policy: () => import('#program/plugins/policy'),
  portmap: () => import('#program/plugins/portmap'),
  ptp: () => import('#program/plugins/ptp'),
  sbr: () => import('#program/plugins/sbr'),
  static: () => import('#program/ipam/static'),
  tap: () => import('#program/plugins/tap'),
  tuning: () => import('#program/plugins/tuning'),
  vlan: () => import('#program/plugins/vlan'),
  vrf: () => import('#program/plugins/vrf'),
};

const name = process.argv0.slice(process.argv0.lastIndexOf('/') + 1);

// NB: no top-level await, bytecode cannot have it.
if (Object.hasOwn(programs, name)) programs[name]?.();
else import('./cli/main.ts').then(({ main }) => main(process.argv.slice(2)));
