/** All experiments, in the order in which `npm run bench` runs them. */
import type { Experiment } from './experiment.ts';
import { agent } from './experiments/agent.ts';
import { chain } from './experiments/chain.ts';
import { inspect } from './experiments/inspect.ts';
import { leases } from './experiments/leases.ts';
import { lifecycles } from './experiments/lifecycle.ts';
import { modes } from './experiments/modes.ts';
import { overlayPeers } from './experiments/overlay-peers.ts';
import { overlayWire } from './experiments/overlay-wire.ts';
import { plots } from './experiments/plots.ts';
import { policies } from './experiments/policy.ts';
import { portmap } from './experiments/portmap.ts';

export const EXPERIMENTS: readonly Experiment[] = [
  ...lifecycles,
  chain,
  leases,
  modes,
  overlayPeers,
  overlayWire,
  policies,
  portmap,
  inspect,
  ...agent,
  ...plots,
];
