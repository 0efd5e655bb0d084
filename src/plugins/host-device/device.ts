/** Finds the device on the host that a configuration means. */
import { thereAre } from '../../attach/master.ts';
import { isOurAlias } from '../../attach/owner.ts';
import { NetloomError } from '../../error.ts';
import { tryList } from '../../ffi/directory.ts';
import { tryReadlink } from '../../ffi/file.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { ARPHRD } from '../../rtnl/constants.ts';
import * as link from '../../rtnl/link.ts';
import { busIdOf, type HostDeviceConf } from './conf.ts';

const PCI_DEVICES = '/sys/bus/pci/devices';
/** Drivers that hand a device to a program. The reference's list. */
const PROGRAM_DRIVERS: readonly string[] = ['vfio-pci', 'uio_pci_generic', 'igb_uio'];

/** Links that could be moved, except those of our attachments. */
function devicesThere(nl: NetlinkSocket): string[] {
  return link
    .list(nl)
    .filter(({ hardware, alias }) => hardware !== ARPHRD.LOOPBACK && !isOurAlias(alias))
    .map(({ name }) => name);
}

/** @throws NetloomError no-link if there is none, invalid-config if it is the loopback interface */
export function findDevice(nl: NetlinkSocket, conf: HostDeviceConf): link.Link {
  const { device, hwaddr, kernelpath = '' } = conf;
  const [found, what] =
    device !== undefined
      ? [link.find(nl, { name: device }), `"${device}"`]
      : hwaddr !== undefined
        ? [byMac(nl, hwaddr), `with the MAC ${hwaddr}`]
        : kernelpath !== ''
          ? [ofDirectories(nl, [`${kernelpath}/net`]), `at the path "${kernelpath}"`]
          : [ofDirectories(nl, busDirectories(busIdOf(conf))), `with the bus address "${busIdOf(conf)}"`];
  if (found === undefined) {
    throw new NetloomError('no-link', `Cannot find a network device ${what} on the host`, {
      hint: `${thereAre(devicesThere(nl))}; it may be in a container already; a device with a driver such as vfio-pci is found by "pciBusID"`,
    });
  }
  if (found.hardware === ARPHRD.LOOPBACK) {
    throw new NetloomError('invalid-config', `Cannot move "${found.name}": it is the loopback interface`);
  }
  return found;
}

/**
 * Whether a driver for programs (DPDK) has the device: then it is no network interface, and there is nothing to move.
 * The bus address decides, whatever else the configuration names, as in the reference.
 */
export function isForPrograms(conf: HostDeviceConf): boolean {
  const id = busIdOf(conf);
  const driver = id === '' ? undefined : tryReadlink(`${PCI_DEVICES}/${id}/driver`);
  return driver !== undefined && PROGRAM_DRIVERS.includes(driver.slice(driver.lastIndexOf('/') + 1));
}

/** A VLAN or a bridge may have the MAC of the device below it: the device is meant. */
function byMac(nl: NetlinkSocket, mac: string): link.Link | undefined {
  const all = link.list(nl).filter((each) => each.mac === mac);
  return all.find(({ kind }) => kind === undefined) ?? all[0];
}

/**
 * The directories in sysfs with the names of a device's interfaces: on the PCI bus, with virtio or without, or on the
 * auxiliary bus (subfunctions).
 */
function busDirectories(id: string): string[] {
  const pci = `${PCI_DEVICES}/${id}`;
  const virtio = (tryList(pci) ?? []).filter((name) => name.startsWith('virtio')).map((name) => `${pci}/${name}/net`);
  return [`${pci}/net`, ...virtio, `/sys/bus/auxiliary/devices/${id}/net`];
}

/** The first interface that the directories name. NB: sysfs may be that of another namespace, so each is looked up. */
function ofDirectories(nl: NetlinkSocket, directories: readonly string[]): link.Link | undefined {
  for (const directory of directories) {
    for (const name of (tryList(directory) ?? []).sort()) {
      const found = link.find(nl, { name });
      if (found !== undefined && found.hardware !== ARPHRD.LOOPBACK) return found;
    }
  }
  return undefined;
}
