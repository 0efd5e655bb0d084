/** Finding the device that a configuration means, on the host. */
import { NetloomError } from '../../error.ts';
import { tryList } from '../../ffi/directory.ts';
import type { NetlinkSocket } from '../../netlink/socket.ts';
import { ARPHRD } from '../../rtnl/constants.ts';
import * as link from '../../rtnl/link.ts';
import { busIdOf, type HostDeviceConf } from './conf.ts';

/** @throws NetloomError no-link where there is none, invalid-config where it is the loopback interface */
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
      hint: 'it is in a container already, or a driver for user space (vfio) has it',
    });
  }
  if (found.hardware === ARPHRD.LOOPBACK) {
    throw new NetloomError('invalid-config', `Cannot move "${found.name}": it is the loopback interface`);
  }
  return found;
}

/** A VLAN or a bridge may have the MAC of the device below it: the device is meant. */
function byMac(nl: NetlinkSocket, mac: string): link.Link | undefined {
  const all = link.list(nl).filter((each) => each.mac === mac);
  return all.find(({ kind }) => kind === undefined) ?? all[0];
}

/** Where sysfs has the names of the interfaces of a device on the PCI bus, behind virtio or not, or on the auxiliary bus (subfunctions). */
function busDirectories(id: string): string[] {
  const pci = `/sys/bus/pci/devices/${id}`;
  const virtio = (tryList(pci) ?? []).filter((name) => name.startsWith('virtio')).map((name) => `${pci}/${name}/net`);
  return [`${pci}/net`, ...virtio, `/sys/bus/auxiliary/devices/${id}/net`];
}

/** The first interface that the directories name. NB: sysfs may be that of another namespace, so each is looked for. */
function ofDirectories(nl: NetlinkSocket, directories: readonly string[]): link.Link | undefined {
  for (const directory of directories) {
    for (const name of (tryList(directory) ?? []).sort()) {
      const found = link.find(nl, { name });
      if (found !== undefined && found.hardware !== ARPHRD.LOOPBACK) return found;
    }
  }
  return undefined;
}
