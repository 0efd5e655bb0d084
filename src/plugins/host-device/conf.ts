/**
 * The keys of host-device. Names and defaults are the reference's.
 * https://www.cni.dev/plugins/current/main/host-device/
 */
import * as v from 'valibot';
import { type ConfOf, confSchema, ifname, mac, object, text } from '../../cni/config.ts';
import { NetloomError } from '../../error.ts';

export const schema = confSchema(() => ({
  device: v.exactOptional(ifname),
  hwaddr: v.exactOptional(mac),
  kernelpath: v.exactOptional(text),
  pciBusID: v.exactOptional(text),
  runtimeConfig: v.optional(object({ deviceID: v.exactOptional(text) }), {}),
}));

export type HostDeviceConf = ConfOf<typeof schema>;

/** The device's address on a bus, from the runtime's device manager or else from the configuration. */
export function busIdOf({ pciBusID = '', runtimeConfig }: HostDeviceConf): string {
  const { deviceID = '' } = runtimeConfig;
  return deviceID === '' ? pciBusID : deviceID;
}

/** Before any change. @throws NetloomError invalid-config */
export function checkConf(conf: HostDeviceConf): void {
  const { device, hwaddr, kernelpath = '' } = conf;
  const busId = busIdOf(conf);
  const refuse = (what: string): never => {
    throw new NetloomError('invalid-config', `failed to load netconf: ${what}`);
  };
  if (device === undefined && hwaddr === undefined && kernelpath === '' && busId === '') {
    refuse('specify either "device", "hwaddr", "kernelpath" or "pciBusID"');
  }
  if (kernelpath !== '' && (!kernelpath.startsWith('/sys/devices/') || hasDots(kernelpath))) {
    refuse(`kernel device path "${kernelpath}" must be absolute and begin with /sys/devices/`);
  }
  if (busId !== '' && (busId.includes('/') || hasDots(busId))) {
    refuse(`"pciBusID" is "${busId}", expected an address such as "0000:00:1f.6"`);
  }
}

/** Whether a path has a `..` in it. */
function hasDots(path: string): boolean {
  return path.split('/').includes('..');
}
