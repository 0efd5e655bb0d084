/**
 * TAP links: created by an ioctl of /dev/net/tun, not by rtnetlink. linux/if_tun.h;
 * Documentation/networking/tuntap.rst.
 */
import { adapter } from '#ffi';
import { isHeard, tell } from '../deed.ts';
import { lastErrno, O, open } from './file.ts';
import { check, cString, libc } from './libc.ts';

const TUNSETIFF = 0x400454ca;
const TUNSETPERSIST = 0x400454cb;
const TUNSETOWNER = 0x400454cc;
const TUNSETGROUP = 0x400454ce;

const IFF_TAP = 0x0002;
const IFF_MULTI_QUEUE = 0x0100;
/** Frames come without an additional header. */
const IFF_NO_PI = 0x1000;
/** Fail where a link of that name exists; otherwise the ioctl opens it, whoever made it. */
const IFF_TUN_EXCL = 0x8000;

/** struct ifreq: 16 bytes of name, then a union. */
const IFREQ_SIZE = 40;
const FLAGS_AT = 16;

export interface TapOptions {
  readonly multiQueue: boolean;
  /** Ids of a user and a group that may open it besides root. */
  readonly owner?: number;
  readonly group?: number;
}

/**
 * Makes a TAP link in the calling thread's network namespace; it persists when this returns.
 * Equivalent to: `ip tuntap add mode tap name NAME multi_queue user OWNER group GROUP`
 * @returns false where a link of that name exists
 * @throws NetloomError ENOENT, ENODEV, ENXIO where the kernel has no TUN
 */
export function makeTap(name: string, { multiQueue, owner, group }: TapOptions): boolean {
  using tun = open('/dev/net/tun', O.RDWR);
  const request = new Uint8Array(IFREQ_SIZE);
  request.set(cString(name));
  const flags = IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL | (multiQueue ? IFF_MULTI_QUEUE : 0);
  new DataView(request.buffer).setUint16(FLAGS_AT, flags, true);
  // NB: bound here because the argument is a pointer in this case only, and few runs need it.
  const { ioctl } = adapter.load({ ioctl: { args: ['i32', 'size', 'ptr'], returns: 'i32' } });
  const result = ioctl(tun.number, TUNSETIFF, request);
  if (result < 0 && lastErrno() === 'EBUSY') return false;
  check(result, `create the tap link "${name}"`);
  const set = (number: number, value: number, what: string) =>
    check(libc.ioctl(tun.number, number, value), `set the ${what} of the tap link "${name}"`);
  if (owner !== undefined) set(TUNSETOWNER, owner, 'owner');
  if (group !== undefined) set(TUNSETGROUP, group, 'group');
  // Last: until then the link goes away with the descriptor, whatever fails.
  set(TUNSETPERSIST, 1, 'persistence');
  if (isHeard()) {
    const words = [
      multiQueue ? ' multi_queue' : '',
      owner === undefined ? '' : ` user ${owner}`,
      group === undefined ? '' : ` group ${group}`,
    ];
    const command = `ip tuntap add mode tap name ${name}${words.join('')}`;
    tell({ netns: undefined, steps: [{ action: `create the tap link "${name}"`, command }] });
  }
  return true;
}
