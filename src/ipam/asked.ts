/** How a runtime requests addresses, the same for host-local and static. https://www.cni.dev/docs/conventions/ */
import * as v from 'valibot';
import { object } from '../cni/config.ts';

/** `args.cni.ips`, as an entry of a configuration's schema. */
export function argsSchema<const S extends v.GenericSchema>(address: S) {
  return object({ cni: v.exactOptional(object({ ips: v.exactOptional(v.array(address)) })) });
}
