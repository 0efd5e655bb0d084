/** A request as the kernel sees it: fixed header and attributes. */
import type { Request } from '../../src/netlink/message.ts';
import { hex, written } from '../netlink/bytes.ts';

export function body(request: Request): Uint8Array {
  return written((out) => request.write(out));
}

export function bodyHex(request: Request): string {
  return hex(body(request));
}
