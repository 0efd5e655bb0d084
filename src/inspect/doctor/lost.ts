/** Sandboxes and endpoints without their records: no command finds them, so only this check reports them. */
import { isGone, lostEndpoints, removeLostEndpoint } from '../../runtime/lost-endpoints.ts';
import { processesOfLost, removeSandbox } from '../../runtime/sandbox/remove.ts';
import { lostSandboxes } from '../../runtime/sandbox/store.ts';
import type { Check } from './finding.ts';

export const lost: Check = ({ context }) => [
  ...lostSandboxes(context).map(({ name, isPinned, why }) => {
    const isInUse = processesOfLost(context, name).length > 0;
    return {
      check: 'lost-sandbox',
      what: `The sandbox "${name}" has lost its record`,
      evidence: why,
      effect: isPinned
        ? 'nothing can be run in it or connected to it, its addresses and ports stay taken, and after a boot it does not come back'
        : '"netloom restore" does not bring it back',
      mend: isInUse
        ? `end what runs in it, then: netloom sandbox rm ${name}`
        : `remove what is left of it: netloom sandbox rm ${name}`,
      ...(!isInUse && { fix: () => removeSandbox(context, name) }),
    };
  }),
  ...lostEndpoints(context).map((each) => {
    const { ifname, containerId, network } = each.attachment;
    return {
      check: 'lost-endpoint',
      what: `The record of "${ifname}" of "${containerId}" on "${network}" is damaged`,
      evidence: `it was set aside as "${each.file}"`,
      effect:
        'its addresses and ports stay taken, and it is not connected again after a boot or when the container starts',
      ...(isGone(each)
        ? { mend: '"netloom gc" removes it', fix: () => removeLostEndpoint(context, each, '') }
        : { mend: '"netloom disconnect", then "netloom connect" it again' }),
    };
  }),
];
